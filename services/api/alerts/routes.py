"""Route of /api/alert/."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.alerts import queries
from services.api.alerts.schemas import AlertPage
from services.api.edge.dependencies import DatabaseDep
from services.api.edge.pages import After, Limit, cut_page
from services.api.edge.problems import documented
from services.api.edge.strict_json import StrictJsonRoute
from shared.contracts import INT64_MAX

router = APIRouter(prefix="/api/alert", tags=["alerts"], route_class=StrictJsonRoute)


@router.get("/", summary="List alerts", responses=documented())
async def list_alerts(
    database: DatabaseDep,
    only_open: Annotated[bool, Query(alias="open", description="True: only those that have not ended.")] = False,
    limit: Limit = 100,
    after: After = None,
) -> AlertPage:
    """List the alerts of the notifier, newest first. Without a notifier there are none."""
    before_id = after or INT64_MAX
    rows = await database.statement(queries.list_alerts, only_open=only_open, before_id=before_id, limit=limit + 1)
    return AlertPage.model_validate(cut_page(rows, limit))
