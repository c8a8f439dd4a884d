"""Routes of /api/client/."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse

from services.api.clients import commands, queries
from services.api.clients.csv_rows import Defaults
from services.api.clients.imports import import_clients
from services.api.clients.schemas import ClientChange, ClientIn, ClientOut, ClientPage
from services.api.edge import observer
from services.api.edge.dependencies import ClientId, DatabaseDep, NumberQuery, OriginDep, TransfersDep
from services.api.edge.idempotency import create_once
from services.api.edge.idempotent_posts import KeyedRequestDep, created_response
from services.api.edge.ids import Digits
from services.api.edge.imports import Imported
from services.api.edge.pages import After, Limit
from services.api.edge.problems import documented
from services.api.edge.refusals import Invalid, KeyInFlight, KeyReused, NotFound, NumberTaken
from services.api.edge.streaming import CSV_RESPONSE, csv_response
from services.api.edge.strict_json import StrictJsonRoute
from services.api.edge.texts import Tag, refuse_nul
from services.api.edge.uploads import UPLOAD_BODY, csv_upload
from services.api.edge.zones import Zone
from shared.ledger.audit import Subject, audit

router = APIRouter(prefix="/api/client", tags=["clients"], route_class=StrictJsonRoute)

IMPORT = "/api/client/import/"  # the path whose bodies are large

_Text = Annotated[str, AfterValidator(str.strip), AfterValidator(refuse_nul)]


async def _conditions(
    tag: Annotated[
        _Text | None, Query(description="Only clients with this tag.", examples=["#AzbukaVkusa"])
    ] = None,
    code: Annotated[
        int | None,
        Query(ge=0, le=999, description="Only clients of this mobile operator.", examples=[905]),
        Digits,
    ] = None,
    zone: Annotated[
        _Text | None, Query(description="Only clients of this time zone.", examples=["Europe/Moscow"])
    ] = None,
    number: NumberQuery = None,
) -> queries.Conditions:
    return queries.Conditions(tag=tag, code=code, zone=zone, number=number)


ConditionsDep = Annotated[queries.Conditions, Depends(_conditions)]


async def _defaults(
    tag: Annotated[Tag | None, Query(description="Tag of rows without one.", examples=["#AzbukaVkusa"])] = None,
    zone: Annotated[
        Zone | None, Query(description="Time zone of rows without one.", examples=["Europe/Moscow"])
    ] = None,
) -> Defaults:
    return Defaults(tag, zone)


DefaultsDep = Annotated[Defaults, Depends(_defaults)]


@router.post(
    "/",
    status_code=201,
    response_model=ClientOut,
    summary="Create a client",
    responses=documented(NumberTaken, KeyInFlight, KeyReused),
)
async def create(
    new: ClientIn, database: DatabaseDep, origin: OriginDep, keyed: KeyedRequestDep
) -> ClientOut | Response:
    """Add a client to the directory. `code` is always derived from the number; a `code` in the body is ignored."""
    if keyed is not None:
        answer = await database.transaction(create_once, keyed, commands.create, new, origin)
        return created_response(answer, "client")
    client = await database.statement(commands.create, new, origin)
    observer.resource_created(client_id=client.id)
    return client


@router.get("/", summary="List clients", responses=documented())
async def page(
    database: DatabaseDep, conditions: ConditionsDep, limit: Limit = 100, after: After = None
) -> ClientPage:
    """List the clients that have all of the given values, by ascending id."""
    return await database.statement(queries.page, conditions, after=after or 0, limit=limit)


@router.post(
    "/import/",
    summary="Import clients from CSV",
    responses=documented(),
    openapi_extra=UPLOAD_BODY,
)
async def import_csv(
    request: Request, transfers: TransfersDep, origin: OriginDep, defaults: DefaultsDep
) -> Imported:
    """Add and change clients from a CSV file.

    The file is the body, with `Content-Type: text/csv`, or the file of a form: `curl -F file=@clients.csv`.

    The file is UTF-8. Its header names `number`, `tag` and `zone`, in any order. Each further line is a client. A
    field that contains a comma or a quotation mark is enclosed in quotation marks, and a mark inside is doubled.
    No field contains a line break. `?tag=` and `?zone=` are for rows without a value of their own; then the file
    needs no such column.

    A row with a number that a client already has changes this client. A wrong row is rejected; the other rows are
    imported. An upload that breaks off changes nothing. A second import waits until the first one is done.

    If the answer was lost or is 503, send the same file again: it changes only what was not imported yet. An
    `Idempotency-Key` is not needed and is ignored.
    """
    pieces = csv_upload(request)
    try:
        return await import_clients(transfers, pieces, origin, defaults)
    except ClientDisconnect:
        raise Invalid("body", "broke off before its end: nothing was changed") from None


@router.get(
    "/export/",
    summary="Export all clients as CSV",
    response_class=StreamingResponse,
    responses=documented() | CSV_RESPONSE,
)
async def export_csv(database: DatabaseDep, transfers: TransfersDep, origin: OriginDep) -> StreamingResponse:
    """Return all clients as a CSV file by ascending id. The file can be imported.

    A tag that begins with `=`, `+`, `-` or `@` has an apostrophe before it, so that a spreadsheet does not take it
    for a formula. The import removes the apostrophe.
    """
    await database.transaction(audit, origin, Subject("client"))
    return await csv_response(queries.export(transfers), "clients.csv")


@router.get("/{client_id:id}/", summary="Show a client", responses=documented(NotFound))
async def find(client_id: ClientId, database: DatabaseDep) -> ClientOut:
    """Return one client."""
    return await database.statement(queries.find, client_id)


@router.put("/{client_id:id}/", summary="Change a client, like PATCH", responses=documented(NotFound, NumberTaken))
@router.patch("/{client_id:id}/", summary="Change a client", responses=documented(NotFound, NumberTaken))
async def change(
    client_id: ClientId, changes: ClientChange, database: DatabaseDep, origin: OriginDep
) -> ClientOut:
    """Change the given fields; the others keep their values. PUT and PATCH do the same."""
    return await database.statement(commands.change, client_id, changes, origin)


@router.delete("/{client_id:id}/", status_code=204, summary="Delete a client", responses=documented(NotFound))
async def delete(client_id: ClientId, database: DatabaseDep, origin: OriginDep) -> None:
    """Delete a client and cancel its messages that no sender has yet.

    Messages with a final status stay in the statistics of their mailings.
    """
    if not await database.statement(commands.delete_if_settled, client_id, origin):
        await database.transaction(commands.delete, client_id, origin)
