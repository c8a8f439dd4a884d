"""The Idempotency-Key of the POSTs that create something."""

from typing import Annotated

import orjson
from fastapi import Depends, Header, Request
from starlette.responses import Response

from services.api.edge import observer
from services.api.edge.idempotency import KeyedRequest, keyed_request

_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[ -~]+$",
        description="A key that the caller makes up for each thing that it creates. If the answer was lost, send"
        " the same request with the same key again within 24 hours: it creates nothing, and returns the first"
        " answer.",
        examples=["order-1234"],
    ),
]


async def _keyed_request(request: Request, key: _Key = None) -> KeyedRequest | None:
    return None if key is None else keyed_request(key, request.scope["path"], await request.body())


KeyedRequestDep = Annotated[KeyedRequest | None, Depends(_keyed_request)]


def created_response(answer: bytes, noun: str) -> Response:
    """Return 201 with a new or a stored answer, whose id the log line carries as `<noun>_id`."""
    observer.resource_created(**{f"{noun}_id": orjson.loads(answer)["id"]})
    return Response(answer, 201, media_type="application/json")
