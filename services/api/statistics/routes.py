"""Routes of GET /api/statistics/, and of the progress and the reasons of a mailing."""

from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from services.api.edge.dependencies import DatabaseDep, MailingId
from services.api.edge.instants import Instant
from services.api.edge.problems import documented
from services.api.edge.refusals import Invalid, NotFound
from services.api.edge.strict_json import StrictJsonRoute
from services.api.edge.zones import Zone
from services.api.statistics import queries
from services.api.statistics.schemas import Progress, Reasons, Statistics, Step
from shared.contracts import utc_now

router = APIRouter(prefix="/api", tags=["statistics"], route_class=StrictJsonRoute)

_USUAL_LENGTH = timedelta(days=7)
_LONGEST = {Step.HOUR: timedelta(days=32), Step.DAY: timedelta(days=732)}


@router.get("/statistics/", summary="Count messages over all mailings", responses=documented())
async def statistics(
    database: DatabaseDep,
    since: Annotated[
        Instant | None,
        Query(alias="from", description="The beginning of the time. Default: a week before its end."),
    ] = None,
    until: Annotated[Instant | None, Query(description="The end of the time. Default: now.")] = None,
    zone: Annotated[Zone, Query(description="The time zone of the days.")] = "UTC",
    step: Annotated[Step, Query(description="The length of a period.")] = Step.DAY,
) -> Statistics:
    """Count the messages of all mailings by status, and those that ended in a time by period, reason and mailing.

    The time is counted in steps of ten seconds at first, and of a quarter of an hour after 40 days. A step counts
    if it begins in the time.
    """
    begin, end = _time(since, until)
    if end - begin > _LONGEST[step]:
        raise Invalid(
            "from", f"must be at most {_LONGEST[step].days} days before the end, with a step of a {step}"
        )
    return await database.statement(queries.statistics, since=begin, until=end, zone=zone, step=step)


def _time(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    end = until or utc_now()
    begin = since or end - _USUAL_LENGTH
    if begin >= end:
        raise Invalid("from", "must be before the end of the time")
    return begin, end


@router.get(
    "/mailing/{mailing_id:id}/progress/", summary="Show the course of a mailing", responses=documented(NotFound)
)
async def progress(
    mailing_id: MailingId,
    database: DatabaseDep,
    since: Annotated[
        Instant | None, Query(description="Only steps that begin at this instant or later. Default: all.")
    ] = None,
) -> Progress:
    """Return how many messages of a mailing ended in each step of time, by status.

    A message that was retried is counted each time that it ended.
    """
    return await database.statement(queries.progress, mailing_id, since)


@router.get(
    "/mailing/{mailing_id:id}/reasons/",
    summary="Show why messages of a mailing were not sent",
    responses=documented(NotFound),
)
async def reasons(mailing_id: MailingId, database: DatabaseDep) -> Reasons:
    """Count the messages of a mailing that were not sent by status and reason, with the provider's answers."""
    return await database.statement(queries.reasons, mailing_id)
