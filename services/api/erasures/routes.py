"""Routes of /api/erasure/."""

from typing import Annotated

from fastapi import APIRouter, Path

from services.api.edge.dependencies import DatabaseDep
from services.api.edge.pages import After, Limit
from services.api.edge.problems import documented
from services.api.edge.refusals import NotFound
from services.api.edge.strict_json import StrictJsonRoute
from services.api.erasures import queries
from services.api.erasures.schemas import ErasureOut, ErasurePage
from shared.contracts import INT64_MAX

router = APIRouter(prefix="/api/erasure", tags=["clients"], route_class=StrictJsonRoute)

_ErasureId = Annotated[int, Path(ge=1, le=INT64_MAX, description="The erasure's id.", examples=[1])]


@router.get("/", summary="List erasures", responses=documented())
async def page(database: DatabaseDep, limit: Limit = 100, after: After = None) -> ErasurePage:
    """List the erasures of clients, newest first. They are kept without the numbers.

    After a restore from a backup, the persons who were erased since are there again: erase them once more.
    """
    return await database.statement(queries.page, before=after or INT64_MAX, limit=limit)


@router.get("/{erasure_id:id}/", summary="Show an erasure", responses=documented(NotFound))
async def find(erasure_id: _ErasureId, database: DatabaseDep) -> ErasureOut:
    """Return one erasure. `finished_at` says when the last trace of the person was removed."""
    return await database.statement(queries.find, erasure_id)
