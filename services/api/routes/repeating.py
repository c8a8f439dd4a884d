"""What the POSTs that create have in common: the Idempotency-Key with which they may be sent again."""

from typing import Annotated

import orjson
import structlog
from fastapi import Depends, Header, Request
from starlette.responses import Response

from services.api.idempotency import KeyedRequest, keyed

_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[ -~]+$",
        description="Made up by the caller, anew for each thing to be created. The same request with the same key"
        " within 24 hours creates nothing more, and gets the first answer again.",
        examples=["order-1234"],
    ),
]


async def _keyed_request(request: Request, key: _Key = None) -> KeyedRequest | None:
    return None if key is None else keyed(key, request.scope["path"], await request.body())


Keyed = Annotated[KeyedRequest | None, Depends(_keyed_request)]


def created(answer: bytes, noun: str) -> Response:
    """201 with the answer, which may have been given before; its id goes into the log as `<noun>_id`."""
    structlog.contextvars.bind_contextvars(**{f"{noun}_id": orjson.loads(answer)["id"]})
    return Response(answer, 201, media_type="application/json")
