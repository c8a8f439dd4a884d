"""Route of GET /api/attempt/."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AfterValidator

from services.api.attempts import queries
from services.api.attempts.cursor import Cursor, parse_cursor
from services.api.attempts.schemas import AttemptPage
from services.api.edge.dependencies import DatabaseDep
from services.api.edge.ids import Digits
from services.api.edge.instants import Instant
from services.api.edge.pages import Limit
from services.api.edge.problems import documented
from services.api.edge.strict_json import StrictJsonRoute
from services.api.edge.texts import refuse_nul
from shared.contracts import INT16_MAX, INT64_MAX, Outcome, utc_now

router = APIRouter(prefix="/api/attempt", tags=["messages"], route_class=StrictJsonRoute)

_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)
_AHEAD = timedelta(hours=1)  # the clocks of senders may be ahead of ours


def _check(given: str) -> str:
    parse_cursor(given)
    return given


After = Annotated[
    str,
    Query(
        description="The value `next` of the page before. Omit it to get the first page.",
        examples=["1896087600081204-2"],
    ),
    AfterValidator(_check),
]


@router.get("/", summary="List all attempts", responses=documented())
async def page(
    database: DatabaseDep,
    outcome: Annotated[Outcome | None, Query(description="Only attempts with this outcome.")] = None,
    provider_status: Annotated[
        int | None,
        Query(ge=0, le=INT16_MAX, description="Only answers with this HTTP status.", examples=[503]),
        Digits,
    ] = None,
    mailing: Annotated[
        int | None, Query(ge=1, le=INT64_MAX, description="Only attempts of this mailing.", examples=[1]), Digits
    ] = None,
    sender: Annotated[
        str | None,
        Query(max_length=200, description="Only attempts of this sender process."),
        AfterValidator(refuse_nul),
    ] = None,
    since: Annotated[
        Instant | None, Query(alias="from", description="Only attempts at this instant or later.")
    ] = None,
    until: Annotated[Instant | None, Query(description="Only attempts before this instant.")] = None,
    limit: Limit = 100,
    after: After | None = None,
) -> AttemptPage:
    """List every POST to the provider across all mailings, and every reason why there was none, newest first.

    An acceptance stands in the list at the time of its answer, anything else at the time of its POST.
    """
    wanted = queries.Wanted(since or _BEGINNING, outcome, provider_status, mailing, sender)
    cursor = parse_cursor(after) if after else Cursor(until or utc_now() + _AHEAD, 0)
    return await database.statement(queries.page, wanted, cursor, limit)
