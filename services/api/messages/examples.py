"""Examples of messages: two of a mailing to the clients of `services.api.clients.examples`, and a single one.

One message of the mailing was sent when the provider was free again. The provider refused the other one.
"""

from services.api.edge.examples import Example, Examples, Json, page_of

STARTED_AT, FINISHED_AT = "2030-01-31T10:00:00.018301Z", "2030-01-31T10:00:05.251940Z"
MAILING_FACTS: Json = {
    "text": "Your order is ready",
    "starts_at": "2030-01-31T10:00:00Z",
    "expired_at": "2030-01-31T18:00:00Z",
}

SENT: Json = {
    "id": 1,
    "mailing_id": 1,
    "client_id": 1,
    "number": 79057003050,
    "status": "sent",
    "reason": None,
    "created_at": STARTED_AT,
    "settled_at": FINISHED_AT,
    "tries": 2,
}
FAILED: Json = {
    "id": 2,
    "mailing_id": 1,
    "client_id": 2,
    "number": 79060000002,
    "status": "failed",
    "reason": "answer",
    "created_at": STARTED_AT,
    "settled_at": "2030-01-31T10:00:00.119370Z",
    "tries": 1,
}


def _accepted(at: str) -> Json:
    return {
        "at": at,
        "sender": "sender@host-1",
        "outcome": "accepted",
        "provider_status": 200,
        "provider_text": None,
        "duration_ms": 30,
    }


_DEFERRED: Json = {
    "at": "2030-01-31T10:00:00.081204Z",
    "sender": "sender@host-1",
    "outcome": "deferred",
    "provider_status": 503,
    "provider_text": "busy",
    "duration_ms": 38,
}
_MESSAGE: Json = {**SENT, "test_of": None, "attempts": [_DEFERRED, _accepted("2030-01-31T10:00:05.221940Z")]}

# A single message to one of the clients.
CODE_TEXT = "Your code is 1234"
CODE_EXPIRED_AT = "2030-01-31T11:20:00Z"
_CREATED_AT = "2030-01-31T11:15:00.402117Z"
NEW_SINGLE_MESSAGE: Json = {
    "id": 3,
    "mailing_id": None,
    "client_id": 1,
    "number": 79057003050,
    "status": "new",
    "reason": None,
    "created_at": _CREATED_AT,
    "settled_at": None,
    "tries": 0,
    "test_of": None,
    "attempts": [],
}
_SINGLE_MESSAGE_LATER: Json = {
    **NEW_SINGLE_MESSAGE,
    "status": "sent",
    "settled_at": "2030-01-31T11:15:00.471052Z",
    "tries": 1,
    "attempts": [_accepted("2030-01-31T11:15:00.441052Z")],
    "text": CODE_TEXT,
    "starts_at": _CREATED_AT,
    "expired_at": CODE_EXPIRED_AT,
    "state": "finished",
    "paused": False,
    "due_at": None,
}
_MESSAGE_WITH_MAILING: Json = {
    **_MESSAGE,
    **MAILING_FACTS,
    "state": "finished",
    "paused": False,
    "due_at": None,
}

EXAMPLES: Examples = {
    "GET /api/message/": Example(page_of(_SINGLE_MESSAGE_LATER, _MESSAGE_WITH_MAILING)),
    "GET /api/message/{message_id}/": Example(_MESSAGE),
}
