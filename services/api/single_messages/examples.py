"""Examples of single messages and of tests."""

from services.api.edge.examples import Example, Examples, Json
from services.api.messages.examples import CODE_EXPIRED_AT, CODE_TEXT, NEW_SINGLE_MESSAGE

_BODIES: Json = {
    "To a phone number": {"number": "+7 (905) 700-30-50", "text": CODE_TEXT},
    "To a client, for a few minutes": {"client": 1, "text": CODE_TEXT, "expired_at": CODE_EXPIRED_AT},
}

_TEST: Json = {**NEW_SINGLE_MESSAGE, "test_of": 1}

EXAMPLES: Examples = {
    "POST /api/message/": Example(NEW_SINGLE_MESSAGE, _BODIES),
    "POST /api/mailing/{mailing_id}/test/": Example(
        {"items": [_TEST]}, {"To one number": {"numbers": ["+7 905 700-30-50"]}}
    ),
}
