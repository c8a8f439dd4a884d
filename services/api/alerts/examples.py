"""Examples of alerts."""

from services.api.edge.examples import Example, Examples, Json, page_of

_ALERT: Json = {
    "id": 3,
    "kind": "mailing_late",
    "subject": "12",
    "severity": "page",
    "facts": {"mailing_id": 12, "due": 120000, "unsent": 30000},
    "began_at": "2026-11-25T10:00:00Z",
    "notified_at": "2026-11-25T10:00:00Z",
    "ended_at": None,
}

EXAMPLES: Examples = {"GET /api/alert/": Example(page_of(_ALERT))}
