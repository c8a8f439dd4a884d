"""Routes of /api/stop/."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import StreamingResponse

from services.api.edge.dependencies import DatabaseDep, NumberQuery, OriginDep, TransfersDep
from services.api.edge.imports import Imported
from services.api.edge.pages import After, Limit
from services.api.edge.problems import documented
from services.api.edge.refusals import NotFound, StopExists
from services.api.edge.streaming import CSV_RESPONSE, csv_response
from services.api.edge.strict_json import StrictJsonRoute
from services.api.edge.uploads import UPLOAD_BODY, csv_upload
from services.api.stop_list import commands, queries
from services.api.stop_list.csv_rows import parse_stops
from services.api.stop_list.schemas import StopChange, StopIn, StopOut, StopPage
from shared.contracts import INT64_MAX
from shared.ledger.audit import Subject, audit

router = APIRouter(prefix="/api/stop", tags=["stop list"], route_class=StrictJsonRoute)

IMPORT = "/api/stop/import/"  # the path whose bodies are large

StopId = Annotated[int, Path(ge=1, le=INT64_MAX, description="The entry's id.", examples=[1])]


@router.post("/", status_code=201, summary="Put a number on the stop list", responses=documented(StopExists))
async def create(new: StopIn, database: DatabaseDep, origin: OriginDep) -> StopOut:
    """Write to this number no more, whether or not a client has it.

    A message that is not with a sender yet ends as `canceled`, with the reason `stopped`. An entry with the scope
    `marketing` holds back marketing messages. One with the scope `all` holds back service messages, too.
    """
    return await database.transaction(commands.create, new, origin)


@router.get("/", summary="List the stop list", responses=documented())
async def page(
    database: DatabaseDep, number: NumberQuery = None, limit: Limit = 100, after: After = None
) -> StopPage:
    """List the numbers on the stop list, newest first."""
    return await database.statement(queries.page, number=number, before=after or INT64_MAX, limit=limit)


@router.post(
    "/import/",
    summary="Import the stop list from CSV",
    responses=documented(),
    openapi_extra=UPLOAD_BODY,
)
async def import_csv(request: Request, database: DatabaseDep, origin: OriginDep) -> Imported:
    """Add the numbers of a CSV file that are new, and change the others. No number is removed.

    The header names `number`, and any of `scope`, `source` and `note`. An empty scope means `marketing`. A wrong
    row is rejected with its line number, and the others are imported.
    """
    body = b"".join([piece async for piece in csv_upload(request)])
    parsed = await asyncio.to_thread(parse_stops, body)
    return await database.transaction(commands.import_stops, parsed, origin)


@router.get(
    "/export/",
    summary="Export the stop list as CSV",
    response_class=StreamingResponse,
    responses=documented() | CSV_RESPONSE,
)
async def export_csv(database: DatabaseDep, transfers: TransfersDep, origin: OriginDep) -> StreamingResponse:
    """Return the whole stop list as a CSV file, in a form that can be imported."""
    await database.transaction(audit, origin, Subject("stop"))
    return await csv_response(queries.export(transfers), "stop-list.csv")


@router.get("/{stop_id:id}/", summary="Show an entry of the stop list", responses=documented(NotFound))
async def find(stop_id: StopId, database: DatabaseDep) -> StopOut:
    """Return one entry."""
    return await database.statement(queries.find, stop_id)


@router.put(
    "/{stop_id:id}/", summary="Change an entry of the stop list, like PATCH", responses=documented(NotFound)
)
@router.patch("/{stop_id:id}/", summary="Change an entry of the stop list", responses=documented(NotFound))
async def change(stop_id: StopId, changes: StopChange, database: DatabaseDep, origin: OriginDep) -> StopOut:
    """Change the given fields; the others keep their values. PUT and PATCH do the same."""
    return await database.transaction(commands.change, stop_id, changes, origin)


@router.delete(
    "/{stop_id:id}/", status_code=204, summary="Take a number off the stop list", responses=documented(NotFound)
)
async def delete(stop_id: StopId, database: DatabaseDep, origin: OriginDep) -> None:
    """Allow messages to the number again. Messages that were held back are not sent by this."""
    await database.transaction(commands.delete, stop_id, origin)
