"""Examples of erasures."""

from services.api.edge.examples import Example, Examples, Json, page_of

ERASURE: Json = {
    "id": 1,
    "client_id": 1,
    "requested_at": "2030-02-01T09:00:00Z",
    "finished_at": None,
    "messages": 0,
}
_FINISHED = ERASURE | {"finished_at": "2030-02-01T09:01:20Z", "messages": 3}

EXAMPLES: Examples = {
    "GET /api/erasure/": Example(page_of(_FINISHED)),
    "GET /api/erasure/{erasure_id}/": Example(_FINISHED),
}
