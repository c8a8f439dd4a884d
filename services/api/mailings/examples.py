"""Examples of a mailing to two clients, from its creation to its end."""

from services.api.clients.examples import CLIENT, OTHER_CLIENT
from services.api.edge.examples import Example, Examples, Json, page_of
from services.api.messages.examples import (
    FAILED,
    FINISHED_AT,
    MAILING_FACTS,
    SENT,
    STARTED_AT,
)
from shared.statuses import MessageStatus

_LATER = "2030-01-31T20:00:00Z"
_NEW_MAILING: Json = {
    **MAILING_FACTS,
    "filter": {"tag": ["#AzbukaVkusa"], "zone": ["Asia/Omsk", "Europe/Moscow"]},
    "window": {"from": "09:00", "until": "21:00"},
    "rate": 50.0,
    "name": "Orders ready",
    "kind": "service",
}
_BODIES: Json = {
    "All fields": _NEW_MAILING,
    "To the clients with a tag": {**MAILING_FACTS, "filter": "#AzbukaVkusa"},
    "To the clients of a mobile operator": {**MAILING_FACTS, "filter": "905"},
}
_CHANGE: Json = {"expired_at": _LATER, "rate": None}
_CHANGES: Json = {"All fields": {**_NEW_MAILING, **_CHANGE}, "Some fields": _CHANGE}
_RETRY: Json = {"status": ["failed", "expired"], "expired_at": _LATER}

_PREVIEW: Json = {
    "recipients": 2,
    "by_zone": {"Asia/Omsk": 1, "Europe/Moscow": 1},
    "by_code": {"905": 1, "906": 1},
    "unknown_zones": 0,
    "stopped": 0,
    "text_parts": {"count": 1, "encoding": "GSM-7", "units": 19},
    "late": 0,
    "finish": "2030-01-31T10:00:00.041026Z",
    "rate": 50.0,
    "sample": [CLIENT, OTHER_CLIENT],
}


def _counts(**statuses: int) -> Json:
    zeros = dict.fromkeys(map(str, MessageStatus), 0)
    return {**zeros, **statuses, "total": sum(statuses.values())}


_SCHEDULED: Json = {
    "id": 1,
    "created_at": "2030-01-30T15:04:12.618210Z",
    **_NEW_MAILING,
    "parts": 1,
    "state": "scheduled",
    "paused": False,
    "stop": None,
    "started_at": None,
    "finished_at": None,
    "messages_status": _counts(),
}
_CHANGED: Json = {**_SCHEDULED, **_CHANGE}
_RUNNING: Json = {
    **_SCHEDULED,
    "state": "running",
    "started_at": STARTED_AT,
    "messages_status": _counts(new=1, failed=1),
}
_FINISHED: Json = {
    **_RUNNING,
    "state": "finished",
    "finished_at": FINISHED_AT,
    "messages_status": _counts(sent=1, failed=1),
}
_RETRIED: Json = {**_FINISHED, "expired_at": _LATER, "state": "running", "finished_at": None}
_DUPLICATE: Json = {"starts_at": "2030-02-28T10:00:00Z", "expired_at": "2030-02-28T18:00:00Z"}
_MESSAGES_CSV = """\
id,client_id,number,status,reason,created_at,settled_at,tries
1,1,79057003050,sent,,2030-01-31 10:00:00.018301+00,2030-01-31 10:00:05.25194+00,1
2,2,79060000002,failed,answer,2030-01-31 10:00:00.018301+00,2030-01-31 10:00:00.11937+00,0
"""

_PAUSED: Json = {**_RUNNING, "paused": True, "stop": "applied"}
_CANCELED: Json = {**_RUNNING, "state": "canceled", "stop": "applied"}

EXAMPLES: Examples = {
    "POST /api/mailing/": Example(_SCHEDULED, _BODIES),
    "GET /api/mailing/": Example(page_of(_FINISHED)),
    "POST /api/mailing/preview/": Example(_PREVIEW, _BODIES),
    "GET /api/mailing/{mailing_id}/": Example({**_FINISHED, "messages": [SENT, FAILED]}),
    "PUT /api/mailing/{mailing_id}/": Example(_CHANGED, _CHANGES),
    "PATCH /api/mailing/{mailing_id}/": Example(_CHANGED, _CHANGES),
    "GET /api/mailing/{mailing_id}/messages/": Example(page_of(SENT, FAILED)),
    "GET /api/mailing/{mailing_id}/messages/export/": Example(_MESSAGES_CSV),
    "POST /api/mailing/{mailing_id}/pause/": Example(_PAUSED, pending={**_PAUSED, "stop": "pending"}),
    "POST /api/mailing/{mailing_id}/resume/": Example(_RUNNING),
    "POST /api/mailing/{mailing_id}/cancel/": Example(_CANCELED, pending={**_CANCELED, "stop": "pending"}),
    "POST /api/mailing/{mailing_id}/retry/": Example(_RETRIED, {"Failed and expired messages": _RETRY}),
    "POST /api/mailing/{mailing_id}/duplicate/": Example(
        {**_SCHEDULED, "id": 2, **_DUPLICATE}, {"The next month": _DUPLICATE}
    ),
}
