"""Routes of /api/client/."""

from dataclasses import replace
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AfterValidator
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response, StreamingResponse

from services.api.clients import commands, queries
from services.api.clients.csv_rows import Defaults
from services.api.clients.imports import import_clients
from services.api.clients.lists import ConditionsDep
from services.api.clients.schemas import ClientChange, ClientIn, ClientOut, ClientPage, Imported, TagPage
from services.api.edge import observer
from services.api.edge.dependencies import (
    ClientId,
    DatabaseDep,
    OriginDep,
    PrincipalDep,
    TransfersDep,
)
from services.api.edge.entity_tags import PreconditionDep, documented_tag, tagged
from services.api.edge.idempotency import create_once
from services.api.edge.idempotent_posts import KeyedRequestDep, created_response
from services.api.edge.pages import After, Limit
from services.api.edge.problems import documented
from services.api.edge.refusals import (
    ChangedMeanwhile,
    Invalid,
    KeyInFlight,
    KeyReused,
    NotFound,
    NumberTaken,
    RoleForbids,
    StateForbids,
)
from services.api.edge.streaming import CSV_RESPONSE, csv_response
from services.api.edge.strict_json import StrictJsonRoute
from services.api.edge.texts import Tag, refuse_nul
from services.api.edge.uploads import UPLOAD_BODY, csv_upload
from services.api.edge.zones import Zone
from services.api.erasures.schemas import ErasureOut
from shared.access.roles import Role
from shared.ledger.audit import Subject, audit

router = APIRouter(prefix="/api/client", tags=["clients"], route_class=StrictJsonRoute)

_TAG = documented_tag("824712")
_CHANGE_ANSWERS = documented(NotFound, NumberTaken, ChangedMeanwhile) | _TAG

IMPORT = "/api/client/import/"  # the path whose bodies are large


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
    """List the clients that meet all of the conditions, by ascending id."""
    return await database.statement(queries.page, conditions, after=after or 0, limit=limit)


@router.get("/tags/", summary="List the tags of clients", responses=documented())
async def tags(
    database: DatabaseDep,
    limit: Limit = 100,
    after: Annotated[
        str,
        AfterValidator(refuse_nul),
        Query(description="The value `next` of the page before. Omit it to get the first page."),
    ] = "",
) -> TagPage:
    """List every tag that some client has, once."""
    return await database.statement(queries.tags, after=after, limit=limit)


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

    The file is UTF-8. Its header names `number`, `tag` and `zone`, and attributes such as `attr.name`, in any
    order. Each further line is a client. A field that contains a comma or a quotation mark is enclosed in
    quotation marks, and a mark inside is doubled. No field contains a line break. `?tag=` and `?zone=` are for
    rows without a value of their own; then the file needs no such column.

    If the header names attributes, they replace all that the clients of the file have; an empty cell is no
    value. If it names none, the clients keep theirs. A cell such as `3` or `true` is a number or a truth value.

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
    responses=documented(StateForbids) | CSV_RESPONSE,
)
async def export_csv(database: DatabaseDep, transfers: TransfersDep, origin: OriginDep) -> StreamingResponse:
    """Return all clients as a CSV file by ascending id. The file can be imported.

    Each attribute that any client has is a column such as `attr.name`. With more than 1,000 different
    attributes, the answer is 409.

    A tag or a value that begins with `=`, `+`, `-` or `@` has an apostrophe before it, so that a spreadsheet does
    not take it for a formula. The import removes the apostrophe.
    """
    await database.transaction(audit, origin, Subject("client"))
    return await csv_response(queries.export(transfers), "clients.csv")


@router.get("/{client_id:id}/", summary="Show a client", responses=documented(NotFound) | _TAG)
async def find(client_id: ClientId, database: DatabaseDep, response: Response) -> ClientOut:
    """Return one client."""
    return tagged(await database.statement(queries.find, client_id), response)


@router.put("/{client_id:id}/", summary="Change a client, like PATCH", responses=_CHANGE_ANSWERS)
@router.patch("/{client_id:id}/", summary="Change a client", responses=_CHANGE_ANSWERS)
async def change(
    client_id: ClientId,
    changes: ClientChange,
    database: DatabaseDep,
    origin: OriginDep,
    precondition: PreconditionDep,
    response: Response,
) -> ClientOut:
    """Change the given fields; the others keep their values. PUT and PATCH do the same.

    With `If-Match`, nothing changes if somebody else has changed the client since that version.
    """
    changed = await database.statement(commands.change, client_id, changes, origin, precondition)
    return tagged(changed, response)


@router.delete(
    "/{client_id:id}/",
    status_code=204,
    summary="Delete or erase a client",
    responses=documented(NotFound, ChangedMeanwhile)
    | {202: {"model": ErasureOut, "description": "The client is deleted, and the erasure has begun."}},
)
async def delete(
    client_id: ClientId,
    database: DatabaseDep,
    origin: OriginDep,
    principal: PrincipalDep,
    precondition: PreconditionDep,
    erase: Annotated[
        bool, Query(description="Remove the person from everything but counts. This requires the role `admin`.")
    ] = False,
) -> Response:
    """Delete a client and cancel its messages that no sender has yet.

    Messages with a final status stay in the statistics of their mailings.

    With `erase=true`, the person's messages, single messages and attempts are removed, too. The entries of the
    audit lose what they say of the person, and so do the events for webhooks. The numbers of messages in mailings
    and statistics stay. It takes about a minute, or until the last message to the person has a final status.
    `GET /api/erasure/{erasure_id}/` shows when it is done. A client that was deleted before can be erased.
    """
    if erase:
        if not principal.role.includes(Role.ADMIN):
            raise RoleForbids("To erase a client", Role.ADMIN)
        erasing = replace(origin, operation="client.erase")
        begun = await database.transaction(commands.erase, client_id, erasing, precondition)
        return JSONResponse(begun.model_dump(mode="json"), HTTPStatus.ACCEPTED)
    if not await database.statement(commands.delete_if_settled, client_id, origin, precondition):
        await database.transaction(commands.delete, client_id, origin, precondition)
    return Response(status_code=HTTPStatus.NO_CONTENT)
