"""Survey of the ledger for the metrics: messages that are open, due, outstanding and late."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.transactions import transaction
from shared.zones import find_zone

MAILINGS_SHOWN = 20

_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")  # so that the numbers add up
_BOUND = text("SET LOCAL statement_timeout = '2s'")

_TOTALS = text("""
    -- survey_totals --
    WITH live AS MATERIALIZED (
        SELECT id, express, state = 'running' AND paused_at IS NULL AND expired_at > :now AS goes,
            state = 'running' AND paused_at IS NOT NULL AS paused, new + active AS open
        FROM mailings JOIN counters ON counters.mailing_id = mailings.id
        WHERE state <> 'scheduled' AND finished_at IS NULL
    ), due AS MATERIALIZED (
        SELECT express, sum(jobs.open) AS messages, min(due_at) AS since
        FROM live JOIN jobs ON jobs.mailing_id = live.id
        WHERE goes AND jobs.state = 'planned' AND due_at <= :now AND (send_before IS NULL OR send_before > :now)
        GROUP BY express
    ), outstanding AS (
        SELECT count(*) AS jobs, coalesce(sum(open), 0) AS messages FROM jobs WHERE state = 'released'
    ), owed AS (
        SELECT count(*) AS entries, min(created_at) AS since FROM outbox
    ), scheduled AS (
        SELECT count(*) AS mailings, min(starts_at) AS first FROM mailings WHERE state = 'scheduled'
    )
    SELECT scheduled.mailings AS scheduled, scheduled.first,
        (SELECT count(*) FROM live WHERE goes AND NOT express) AS running,
        (SELECT count(*) FROM live WHERE paused) AS paused,
        (SELECT coalesce(sum(open), 0) FROM live) AS open,
        (SELECT messages FROM due WHERE express) AS express_due,
        (SELECT since FROM due WHERE express) AS express_since,
        (SELECT messages FROM due WHERE NOT express) AS ordinary_due,
        (SELECT since FROM due WHERE NOT express) AS ordinary_since,
        outstanding.jobs, outstanding.messages, owed.entries, owed.since AS owed_since
    FROM scheduled, outstanding, owed
""")

# A mailing that waits for its window, or is paused, has no message that may be released.
_RUNNING = text("""
    -- survey_running_mailings --
    SELECT mailings.id, new + active AS open, total - new - active AS settled, expired_at, (
        SELECT coalesce(sum(jobs.open), 0) FROM jobs
        WHERE mailing_id = mailings.id AND paused_at IS NULL
          AND (jobs.state = 'released'
               OR jobs.state = 'planned' AND due_at <= :now AND (send_before IS NULL OR send_before > :now))
    ) AS due
    FROM mailings JOIN counters ON counters.mailing_id = mailings.id
    WHERE state = 'running' AND finished_at IS NULL AND expired_at > :now AND NOT express
    ORDER BY expired_at, mailings.id LIMIT :most
""")

# Messages of mailings with a local window, by the zone that decides.
_BY_ZONE = text("""
    -- survey_zones --
    SELECT zone, sum(open) AS messages FROM mailings JOIN jobs ON mailing_id = mailings.id
    WHERE mailings.state = 'running' AND finished_at IS NULL AND window_from IS NOT NULL
      AND jobs.state = 'planned' AND zone IS NOT NULL
    GROUP BY zone
""")


class DueLane(StrEnum):
    """Kind of due messages, as the metrics name it."""

    EXPRESS = "express"  # single messages
    ORDINARY = "ordinary"  # messages of mailings


class Due(NamedTuple):
    """Messages that may be released and are not, and the seconds for which the first of them has been due."""

    messages: int
    lag: float


@dataclass(frozen=True, slots=True)
class RunningMailing:
    """Numbers of messages of a running mailing, and the seconds until its end."""

    id: int
    open: int
    due: int
    settled: int
    time_left: float


@dataclass(frozen=True, slots=True)
class Survey:
    """State of the ledger at one instant. Ages and lags are in seconds, and 0 where nothing waits."""

    mailings: Mapping[str, int]  # by state, without those of single messages
    due: Mapping[DueLane, Due]
    start_lag: float
    jobs_outstanding: int
    messages_outstanding: int
    open: int
    held: int  # messages to clients whose time zone is not known
    outbox_entries: int
    outbox_age: float
    running: tuple[RunningMailing, ...]  # the ones that end first


async def take_survey(engine: AsyncEngine, now: datetime) -> Survey:
    """Read the state of the ledger in one snapshot.

    Raises:
        DatabaseUnavailable: the database is away.
        DBAPIError: a statement took too long.
    """
    async with transaction(engine) as connection:
        await connection.execute(_ONE_SNAPSHOT)
        await connection.execute(_BOUND)
        row = (await connection.execute(_TOTALS, {"now": now})).one()
        running = (await connection.execute(_RUNNING, {"now": now, "most": MAILINGS_SHOWN})).all()
        by_zone = (await connection.execute(_BY_ZONE)).all()
    return Survey(
        mailings={"scheduled": row.scheduled, "running": row.running, "paused": row.paused},
        due={
            DueLane.EXPRESS: Due(int(row.express_due or 0), _seconds(row.express_since, now)),
            DueLane.ORDINARY: Due(int(row.ordinary_due or 0), _seconds(row.ordinary_since, now)),
        },
        start_lag=_seconds(row.first, now),
        jobs_outstanding=row.jobs,
        messages_outstanding=int(row.messages),
        open=int(row.open),
        held=sum(int(one.messages) for one in by_zone if find_zone(one.zone) is None),
        outbox_entries=row.entries,
        outbox_age=_seconds(row.owed_since, now),
        running=tuple(
            RunningMailing(one.id, one.open, int(one.due), one.settled, _seconds(now, one.expired_at))
            for one in running
        ),
    )


def _seconds(since: datetime | None, until: datetime) -> float:
    return 0.0 if since is None else max(0.0, (until - since).total_seconds())
