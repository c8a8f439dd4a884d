"""/api/client/: the directory of those who can be written to."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Body, Query
from pydantic import AfterValidator
from starlette.responses import Response

from services.api import clients
from services.api.bodies import StrictJsonRoute
from services.api.filters import without_nul
from services.api.idempotency import once
from services.api.problems import documented
from services.api.refusals import KeyInFlight, KeyReused, NotFound, NumberTaken
from services.api.routes.asking import After, AskedNumber, ClientId, Limit, OnDatabase
from services.api.routes.repeating import Keyed, created
from services.api.schemas import ClientChange, ClientIn, ClientOut, ClientPage

router = APIRouter(prefix="/api/client", tags=["clients"], route_class=StrictJsonRoute)

_Text = Annotated[str, AfterValidator(str.strip), AfterValidator(without_nul)]


@router.post(
    "/",
    status_code=201,
    response_model=ClientOut,
    summary="Create a client",
    responses=documented(NumberTaken, KeyInFlight, KeyReused),
)
async def create(new: ClientIn, database: OnDatabase, keyed: Keyed) -> ClientOut | Response:
    """`code` is derived from the number, whatever is sent for it."""
    if keyed is not None:
        return created(await database.transaction(once, keyed, clients.create, new), "client")
    client = await database.statement(clients.create, new)
    structlog.contextvars.bind_contextvars(client_id=client.id)
    return client


@router.get("/", summary="List clients", responses=documented())
async def page(
    database: OnDatabase,
    tag: Annotated[_Text | None, Query(examples=["#AzbukaVkusa"])] = None,
    code: Annotated[int | None, Query(ge=0, le=999, examples=[905])] = None,
    zone: Annotated[_Text | None, Query(examples=["Europe/Moscow"])] = None,
    number: AskedNumber = None,
    limit: Limit = 100,
    after: After = None,
) -> ClientPage:
    """Those that have all of the values given, by ascending id."""
    return await database.statement(
        clients.page, tag=tag, code=code, zone=zone, number=number, after=after or 0, limit=limit
    )


@router.get("/{client_id}/", summary="Show a client", responses=documented(NotFound))
async def find(client_id: ClientId, database: OnDatabase) -> ClientOut:
    return await database.statement(clients.find, client_id)


@router.put("/{client_id}/", summary="Change a client", responses=documented(NotFound, NumberTaken))
@router.patch("/{client_id}/", summary="Change a client", responses=documented(NotFound, NumberTaken))
async def change(
    client_id: ClientId,
    changes: Annotated[ClientChange, Body(examples=[{"tag": "#AzbukaVkusa"}])],
    database: OnDatabase,
) -> ClientOut:
    """PUT and PATCH are the same: what is not given stays."""
    return await database.statement(clients.change, client_id, changes)


@router.delete("/{client_id}/", status_code=204, summary="Delete a client", responses=documented(NotFound))
async def delete(client_id: ClientId, database: OnDatabase) -> None:
    """Cancels the client's messages that are not with a sender yet; the settled ones stay in the statistics."""
    await database.transaction(clients.delete, client_id)
