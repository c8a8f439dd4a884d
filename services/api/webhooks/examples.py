"""Examples of webhooks and their deliveries."""

from services.api.edge.examples import Example, Examples, Json, page_of

_NEW: Json = {
    "name": "shop backend",
    "url": "https://shop.example.org/hooks/mailing",
    "events": ["mailing.finished", "mailing.late"],
    "messages": "singles",
}
_WEBHOOK: Json = {
    "id": 1,
    **_NEW,
    "enabled": True,
    "created_at": "2026-11-25T09:00:00Z",
    "failing_since": None,
    "disabled_at": None,
    "disabled_because": None,
}
_DELIVERY: Json = {
    "id": 7,
    "event_id": "6f1c2b9e-4f0e-4a6e-9f53-0f7a0a3d5c11",
    "kind": "mailing.finished",
    "mailing_id": 12,
    "body": '{"type": "mailing.finished", "timestamp": "2026-11-25T10:00:00+00:00", "data": {"mailing_id": 12}}',
    "created_at": "2026-11-25T10:00:00Z",
    "tries": 1,
    "tried_at": "2026-11-25T10:00:01Z",
    "next_at": None,
    "status": 204,
    "error": None,
    "duration_ms": 35,
    "delivered_at": "2026-11-25T10:00:01Z",
}
_SECRET = "whsec_<44 letters, digits and signs>"  # noqa: S105 - an example

EXAMPLES: Examples = {
    "GET /api/webhook/": Example(page_of(_WEBHOOK)),
    "POST /api/webhook/": Example({**_WEBHOOK, "secret": _SECRET}, {"Ends of mailings": _NEW}),
    "GET /api/webhook/{webhook_id}/": Example(_WEBHOOK),
    "PATCH /api/webhook/{webhook_id}/": Example(_WEBHOOK, {"Switch on": {"enabled": True}}),
    "POST /api/webhook/{webhook_id}/secret/": Example(
        {"secret": _SECRET, "previous_until": "2026-11-26T09:00:00Z"}
    ),
    "POST /api/webhook/{webhook_id}/test/": Example({"delivery_id": 8}),
    "GET /api/webhook/{webhook_id}/deliveries/": Example(page_of(_DELIVERY)),
    "POST /api/webhook/{webhook_id}/deliveries/{delivery_id}/again/": Example({"delivery_id": 9}),
}
