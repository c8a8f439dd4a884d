"""The examples of the OpenAPI document: one story of two clients, a mailing to them, and a code sent to one.

`routes.docs` puts them in when FastAPI is done, which drops every null of what it is given.
"""

from collections.abc import Mapping
from typing import NamedTuple

from pydantic import JsonValue

from shared.statuses import MessageStatus

Json = dict[str, JsonValue]


class Shown(NamedTuple):
    """What an operation answers, and the bodies that it is asked with, each under its summary."""

    answer: JsonValue
    bodies: Mapping[str, JsonValue] = {}


def _page(*items: JsonValue) -> Json:
    return {"items": [*items], "next": None}


# Two clients.
_ANNA: Json = {"tag": "#AzbukaVkusa", "zone": "Europe/Moscow"}
_NEW_CLIENT: Json = {"number": "+7 (905) 700-30-50", **_ANNA}
_CLIENT: Json = {"id": 1, "number": 79057003050, "code": 905, **_ANNA}
_OTHER_CLIENT: Json = {"id": 2, "number": 79060000002, "code": 906, "tag": "#AzbukaVkusa", "zone": "Asia/Omsk"}
_CLIENT_PAGE = _page(_CLIENT, _OTHER_CLIENT)
_CLIENT_CHANGES: Json = {"All of it": _NEW_CLIENT, "A part of it": {"tag": "#AzbukaVkusa"}}

_UPLOAD = """\
number,tag,zone
+7 (905) 700-30-50,#AzbukaVkusa,Europe/Moscow
79060000002,#AzbukaVkusa,Asia/Omsk
79070000003,#AzbukaVkusa,Moscow
"""
_IMPORTED: Json = {
    "rows": 3,
    "added": 2,
    "changed": 0,
    "unchanged": 0,
    "repeated": 0,
    "rejected": 1,
    "rejections": [
        {"line": 4, "reason": "zone: is not a known IANA time zone; they look like 'Europe/Moscow'"},
    ],
}
_DIRECTORY = """\
number,tag,zone
79057003050,#AzbukaVkusa,Europe/Moscow
79060000002,#AzbukaVkusa,Asia/Omsk
"""

# A mailing to them, from its plan to its end.
_STARTED, _FINISHED = "2030-01-31T10:00:00.018301Z", "2030-01-31T10:00:05.251940Z"
_LATER = "2030-01-31T20:00:00Z"
_NEW_MAILING: Json = {
    "starts_at": "2030-01-31T10:00:00Z",
    "expired_at": "2030-01-31T18:00:00Z",
    "text": "Your order is ready",
    "filter": {"tag": ["#AzbukaVkusa"], "zone": ["Asia/Omsk", "Europe/Moscow"]},
    "window": {"from": "09:00", "until": "21:00"},
    "rate": 50.0,
}
_SHORT: Json = {name: _NEW_MAILING[name] for name in ("starts_at", "expired_at", "text")}
_NEW_MAILINGS: Json = {
    "With all there is": _NEW_MAILING,
    "To a tag": {**_SHORT, "filter": "#AzbukaVkusa"},
    "To an operator's clients": {**_SHORT, "filter": "905"},
}
_CHANGE: Json = {"expired_at": _LATER, "rate": None}
_MAILING_CHANGES: Json = {"All of it": {**_NEW_MAILING, **_CHANGE}, "A part of it": _CHANGE}
_RETRY: Json = {"status": ["failed", "expired"], "expired_at": _LATER}

_PREVIEW: Json = {
    "recipients": 2,
    "by_zone": {"Asia/Omsk": 1, "Europe/Moscow": 1},
    "by_code": {"905": 1, "906": 1},
    "unknown_zones": 0,
    "late": 0,
    "finish": "2030-01-31T10:00:00.041026Z",
    "rate": 50.0,
    "sample": [_CLIENT, _OTHER_CLIENT],
}


def _counted(**statuses: int) -> Json:
    none = dict.fromkeys(map(str, MessageStatus), 0)
    return {**none, **statuses, "total": sum(statuses.values())}


_SCHEDULED: Json = {
    "id": 1,
    "created_at": "2030-01-30T15:04:12.618210Z",
    **_NEW_MAILING,
    "state": "scheduled",
    "paused": False,
    "started_at": None,
    "finished_at": None,
    "messages_status": _counted(),
}
_CHANGED: Json = {**_SCHEDULED, **_CHANGE}
_RUNNING: Json = {
    **_SCHEDULED,
    "state": "running",
    "started_at": _STARTED,
    "messages_status": _counted(new=1, failed=1),
}
_PAUSED: Json = {**_RUNNING, "paused": True}
_CANCELED: Json = {**_RUNNING, "state": "canceled"}
_DONE: Json = {
    **_RUNNING,
    "state": "finished",
    "finished_at": _FINISHED,
    "messages_status": _counted(sent=1, failed=1),
}
_RETRIED: Json = {**_DONE, "expired_at": _LATER, "state": "running", "finished_at": None}
_MAILING_PAGE = _page(_DONE)

# Its messages: one was sent when the provider could take it, one was refused.
_SENT: Json = {
    "id": 1,
    "mailing_id": 1,
    "client_id": 1,
    "number": 79057003050,
    "status": "sent",
    "reason": None,
    "created_at": _STARTED,
    "settled_at": _FINISHED,
    "tries": 1,
}
_FAILED: Json = {
    "id": 2,
    "mailing_id": 1,
    "client_id": 2,
    "number": 79060000002,
    "status": "failed",
    "reason": "answer",
    "created_at": _STARTED,
    "settled_at": "2030-01-31T10:00:00.119370Z",
    "tries": 0,
}
_MAILING_DETAIL: Json = {**_DONE, "messages": [_SENT, _FAILED]}
_MESSAGE_PAGE = _page(_SENT, _FAILED)
_MESSAGES_CSV = """\
id,client_id,number,status,reason,created_at,settled_at,tries
1,1,79057003050,sent,,2030-01-31 10:00:00.018301+00,2030-01-31 10:00:05.25194+00,1
2,2,79060000002,failed,answer,2030-01-31 10:00:00.018301+00,2030-01-31 10:00:00.11937+00,0
"""


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
_MESSAGE: Json = {**_SENT, "attempts": [_DEFERRED, _accepted("2030-01-31T10:00:05.221940Z")]}

# A code for one of them, sent on its own.
_CODE = "Your code is 1234"
_USELESS = "2030-01-31T11:20:00Z"
_NEW_MESSAGES: Json = {
    "To a number": {"number": "+7 (905) 700-30-50", "text": _CODE},
    "To a client, while it is of use": {"client": 1, "text": _CODE, "expired_at": _USELESS},
}
_CREATED = "2030-01-31T11:15:00.402117Z"
_NEW_MESSAGE: Json = {
    "id": 3,
    "mailing_id": None,
    "client_id": 1,
    "number": 79057003050,
    "status": "new",
    "reason": None,
    "created_at": _CREATED,
    "settled_at": None,
    "tries": 0,
    "attempts": [],
}
_HISTORY_PAGE = _page(
    {
        **_NEW_MESSAGE,
        "status": "sent",
        "settled_at": "2030-01-31T11:15:00.471052Z",
        "attempts": [_accepted("2030-01-31T11:15:00.441052Z")],
        "text": _CODE,
        "starts_at": _CREATED,
        "expired_at": _USELESS,
        "state": "finished",
        "paused": False,
        "due_at": None,
    },
    {
        **_MESSAGE,
        **{name: _DONE[name] for name in ("text", "starts_at", "expired_at", "state", "paused")},
        "due_at": None,
    },
)

OPERATIONS = {
    "POST /api/client/": Shown(_CLIENT, {"A client": _NEW_CLIENT}),
    "GET /api/client/": Shown(_CLIENT_PAGE),
    "POST /api/client/import/": Shown(_IMPORTED, {"Two clients, and a row that is wrong": _UPLOAD}),
    "GET /api/client/export/": Shown(_DIRECTORY),
    "GET /api/client/{client_id}/": Shown(_CLIENT),
    "PUT /api/client/{client_id}/": Shown(_CLIENT, _CLIENT_CHANGES),
    "PATCH /api/client/{client_id}/": Shown(_CLIENT, _CLIENT_CHANGES),
    "POST /api/mailing/": Shown(_SCHEDULED, _NEW_MAILINGS),
    "GET /api/mailing/": Shown(_MAILING_PAGE),
    "POST /api/mailing/preview/": Shown(_PREVIEW, _NEW_MAILINGS),
    "GET /api/mailing/{mailing_id}/": Shown(_MAILING_DETAIL),
    "PUT /api/mailing/{mailing_id}/": Shown(_CHANGED, _MAILING_CHANGES),
    "PATCH /api/mailing/{mailing_id}/": Shown(_CHANGED, _MAILING_CHANGES),
    "GET /api/mailing/{mailing_id}/messages/": Shown(_MESSAGE_PAGE),
    "GET /api/mailing/{mailing_id}/messages/export/": Shown(_MESSAGES_CSV),
    "POST /api/mailing/{mailing_id}/pause/": Shown(_PAUSED),
    "POST /api/mailing/{mailing_id}/resume/": Shown(_RUNNING),
    "POST /api/mailing/{mailing_id}/cancel/": Shown(_CANCELED),
    "POST /api/mailing/{mailing_id}/retry/": Shown(_RETRIED, {"What failed or came too late": _RETRY}),
    "POST /api/message/": Shown(_NEW_MESSAGE, _NEW_MESSAGES),
    "GET /api/message/": Shown(_HISTORY_PAGE),
    "GET /api/message/{message_id}/": Shown(_MESSAGE),
}
