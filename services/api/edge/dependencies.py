"""Dependencies of the routes: parameters that several routes take, and the parts of the service that they use."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request
from pydantic import BeforeValidator
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.edge.numbers import parse_number
from services.api.edge.origins import origin_of
from services.api.edge.transactions import Database
from shared.broker.publisher import Publisher
from shared.contracts import INT64_MAX
from shared.ledger.origin import Origin

ClientId = Annotated[int, Path(ge=1, le=INT64_MAX, description="The client's id.", examples=[1])]
MailingId = Annotated[int, Path(ge=1, le=INT64_MAX, description="The mailing's id.", examples=[1])]
MessageId = Annotated[int, Path(ge=1, le=INT64_MAX, description="The message's id.", examples=[1])]

_Number = Annotated[int, BeforeValidator(parse_number, json_schema_input_type=str)]
NumberQuery = Annotated[_Number | None, Query(description="A phone number.", examples=["79057003050"])]


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


async def _origin(request: Request) -> Origin:
    return origin_of(request.scope)


DatabaseDep = Annotated[Database, Depends(_database)]
TransfersDep = Annotated[AsyncEngine, Depends(_transfers)]
PublisherDep = Annotated[Publisher, Depends(_publisher)]
ProviderRateDep = Annotated[float | None, Depends(_provider_rate)]
OriginDep = Annotated[Origin, Depends(_origin)]
