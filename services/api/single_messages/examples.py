"""Examples of single messages."""

from services.api.edge.examples import Example, Examples, Json
from services.api.messages.examples import CODE_EXPIRED_AT, CODE_TEXT, NEW_SINGLE_MESSAGE

_BODIES: Json = {
    "To a phone number": {"number": "+7 (905) 700-30-50", "text": CODE_TEXT},
    "To a client, for a few minutes": {"client": 1, "text": CODE_TEXT, "expired_at": CODE_EXPIRED_AT},
}

EXAMPLES: Examples = {"POST /api/message/": Example(NEW_SINGLE_MESSAGE, _BODIES)}
