"""Examples of statistics: a mailing to four clients, of which one was refused, and one single message."""

from services.api.edge.examples import Example, Examples, Json
from shared.statuses import FINAL_STATUSES, MessageStatus

_NOTHING: Json = {status.value: 0 for status in MessageStatus if status in FINAL_STATUSES}
_OF_MAILING: Json = {**_NOTHING, "sent": 3, "failed": 1}
_REFUSED: Json = {"status": "failed", "reason": "answer", "messages": 1}

EXAMPLES: Examples = {
    "GET /api/statistics/": Example(
        {
            "totals": {**_OF_MAILING, "new": 0, "active": 0, "total": 4, "mailings": 1},
            "single_messages": {**_NOTHING, "sent": 1},
            "messages": _OF_MAILING,
            "periods": [{**_OF_MAILING, "sent": 4, "at": "2030-01-31T00:00:00Z"}],
            "reasons": [_REFUSED],
            "mailings": [{**_OF_MAILING, "mailing_id": 1, "text": "Your order is ready"}],
        }
    ),
    "GET /api/mailing/{mailing_id}/progress/": Example(
        {"step": 10, "points": [{**_OF_MAILING, "at": "2030-01-31T10:00:00Z"}]}
    ),
    "GET /api/mailing/{mailing_id}/reasons/": Example(
        {
            "items": [
                {
                    **_REFUSED,
                    "answers": [{"provider_status": 400, "provider_text": "no such number", "messages": 1}],
                }
            ]
        }
    ),
}
