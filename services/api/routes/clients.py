"""/api/client/: the directory of those who can be written to."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query, Request
from pydantic import AfterValidator
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from services.api import clients
from services.api.bodies import StrictJsonRoute
from services.api.filters import without_nul
from services.api.idempotency import once
from services.api.problems import documented
from services.api.refusals import Invalid, KeyInFlight, KeyReused, NotFound, NumberTaken
from services.api.routes.asking import After, AskedNumber, ClientId, Limit, OnDatabase, Transfers
from services.api.routes.repeating import Keyed, created
from services.api.routes.streaming import CSV_ANSWER, csv_answer
from services.api.schemas import ClientChange, ClientIn, ClientOut, ClientPage, Imported
from services.api.transfers import export_clients, import_clients

router = APIRouter(prefix="/api/client", tags=["clients"], route_class=StrictJsonRoute)

IMPORT = "/api/client/import/"  # where bodies are large

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


@router.post(
    "/import/",
    summary="Import clients from CSV",
    responses=documented(),
    openapi_extra={"requestBody": {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def import_csv(request: Request, transfers: Transfers) -> Imported:
    """UTF-8, a header that names `number`, `tag` and `zone`, fields in quotation marks where they need it.

    A client whose number is there already is changed. A row that is wrong stops none of the others; an upload
    that breaks off changes nothing. When the answer was lost, send the same file again: it changes nothing the
    second time, and no `Idempotency-Key` is looked at.
    """
    kind, _, _ = request.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "text/csv":
        raise Invalid("body", "must be sent as CSV, with Content-Type: text/csv")
    try:
        return await import_clients(transfers, request.stream())
    except ClientDisconnect:
        raise Invalid("body", "broke off before its end: nothing was changed") from None


@router.get(
    "/export/",
    summary="Export all clients as CSV",
    response_class=StreamingResponse,
    responses=documented() | CSV_ANSWER,
)
async def export_csv(transfers: Transfers) -> StreamingResponse:
    """In the order of their ids, and in a form that can be imported."""
    return await csv_answer(export_clients(transfers), "clients.csv")


@router.get("/{client_id}/", summary="Show a client", responses=documented(NotFound))
async def find(client_id: ClientId, database: OnDatabase) -> ClientOut:
    return await database.statement(clients.find, client_id)


@router.put("/{client_id}/", summary="Change a client", responses=documented(NotFound, NumberTaken))
@router.patch("/{client_id}/", summary="Change a client", responses=documented(NotFound, NumberTaken))
async def change(client_id: ClientId, changes: ClientChange, database: OnDatabase) -> ClientOut:
    """PUT and PATCH are the same: what is not given stays."""
    return await database.statement(clients.change, client_id, changes)


@router.delete("/{client_id}/", status_code=204, summary="Delete a client", responses=documented(NotFound))
async def delete(client_id: ClientId, database: OnDatabase) -> None:
    """Cancels the client's messages that are not with a sender yet; the settled ones stay in the statistics."""
    if not await database.statement(clients.delete_if_settled, client_id):
        await database.transaction(clients.delete, client_id)
