"""What requests have in common: the parameters they are given, and the service's parts they work with."""

from typing import Annotated

import structlog
from fastapi import Depends, Path, Query, Request
from pydantic import BeforeValidator
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.numbers import parse_number
from services.api.transactions import Database
from shared.broker.publisher import Publisher
from shared.contracts import INT64_MAX

ClientId = Annotated[int, Path(ge=1, le=INT64_MAX)]
MailingId = Annotated[int, Path(ge=1, le=INT64_MAX)]
MessageId = Annotated[int, Path(ge=1, le=INT64_MAX)]

Limit = Annotated[int, Query(ge=1, le=1000, description="how many at most")]
After = Annotated[
    int | None, Query(ge=1, le=INT64_MAX, description="`next` of the page before; left out for the first page")
]
_Number = Annotated[int, BeforeValidator(parse_number, json_schema_input_type=str)]
AskedNumber = Annotated[_Number | None, Query(examples=["79057003050"])]


async def _database(request: Request) -> Database:
    database = request.app.state.database
    assert isinstance(database, Database)
    return database


async def _transfers(request: Request) -> AsyncEngine:
    engine = request.app.state.transfers
    assert isinstance(engine, AsyncEngine)
    return engine


async def _publisher(request: Request) -> Publisher:
    publisher = request.app.state.publisher
    assert isinstance(publisher, Publisher)
    return publisher


async def _provider_rate(request: Request) -> float | None:
    rate = request.app.state.provider_rate
    assert rate is None or isinstance(rate, float)
    return rate


async def _request_id() -> str | None:
    """The id that the edge gave to the request that is being answered."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return request_id if isinstance(request_id, str) else None


Transfers = Annotated[AsyncEngine, Depends(_transfers)]
OnDatabase = Annotated[Database, Depends(_database)]
OnPublisher = Annotated[Publisher, Depends(_publisher)]
ProviderRate = Annotated[float | None, Depends(_provider_rate)]
RequestId = Annotated[str | None, Depends(_request_id)]
