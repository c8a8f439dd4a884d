"""The ledger at a glance, for whoever watches: what is open, due, outstanding and late.

It is looked at when somebody asks, every few seconds at most, in bounded time; a database that is away or frozen
holds up nobody who asks.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts import utc_now
from shared.database.failures import is_unavailable
from shared.database.transactions import transaction
from shared.telemetry.redaction import describe_error
from shared.zones import find_zone

log = structlog.get_logger()

EVERY = 3.0  # seconds: sooner, the last look is good enough
PATIENCE = 1.0  # seconds that whoever asks is kept waiting
MAILINGS_SHOWN = 20

_ONE_SNAPSHOT = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")  # so that its parts add up
_BOUND = text("SET LOCAL statement_timeout = '2s'")

_TOTALS = text("""
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

# A mailing that waits for its window, or is paused, has nothing that may go.
_RUNNING = text("""
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

# Who is to be written to by the local time of a zone.
_BY_ZONE = text("""
    SELECT zone, sum(open) AS messages FROM mailings JOIN jobs ON mailing_id = mailings.id
    WHERE mailings.state = 'running' AND finished_at IS NULL AND window_from IS NOT NULL
      AND jobs.state = 'planned' AND zone IS NOT NULL
    GROUP BY zone
""")


class Lane(StrEnum):
    EXPRESS = "express"  # sent on its own
    ORDINARY = "ordinary"


class Due(NamedTuple):
    """What may go and was not released, and for how many seconds the first of it has been due."""

    messages: int
    lag: float


@dataclass(frozen=True, slots=True)
class RunningMailing:
    """In messages, and seconds until its end."""

    id: int
    open: int
    due: int
    settled: int
    time_left: float


@dataclass(frozen=True, slots=True)
class Survey:
    """One look. Ages and lags in seconds, 0 where there is nothing."""

    mailings: Mapping[str, int]  # by state, those sent on their own apart
    due: Mapping[Lane, Due]
    start_lag: float
    jobs_outstanding: int
    messages_outstanding: int
    open: int
    held: int  # for clients of zones that are not known
    outbox_entries: int
    outbox_age: float
    running: tuple[RunningMailing, ...]  # those that end first


async def take_survey(engine: AsyncEngine, now: datetime) -> Survey:
    """Raises DatabaseUnavailable, or SQLAlchemy's error when it takes too long."""
    async with transaction(engine) as connection:
        await connection.execute(_ONE_SNAPSHOT)
        await connection.execute(_BOUND)
        row = (await connection.execute(_TOTALS, {"now": now})).one()
        running = (await connection.execute(_RUNNING, {"now": now, "most": MAILINGS_SHOWN})).all()
        by_zone = (await connection.execute(_BY_ZONE)).all()
    return Survey(
        mailings={"scheduled": row.scheduled, "running": row.running, "paused": row.paused},
        due={
            Lane.EXPRESS: Due(int(row.express_due or 0), _seconds(row.express_since, now)),
            Lane.ORDINARY: Due(int(row.ordinary_due or 0), _seconds(row.ordinary_since, now)),
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


class Surveyor:
    """Looks at the ledger, one look at a time."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._looking: asyncio.Task[Survey | None] | None = None
        self._began = 0.0

    async def look(self) -> Survey | None:
        """A survey no older than EVERY, within PATIENCE; None if there is none."""
        if self._looking is None or (self._looking.done() and time.monotonic() - self._began > EVERY):
            self._began = time.monotonic()
            self._looking = asyncio.create_task(self._take())
        # Left behind when it takes too long: to give up a statement takes as long as the statement.
        await asyncio.wait([self._looking], timeout=PATIENCE)
        return self._looking.result() if self._looking.done() else None

    async def close(self) -> None:
        """Ends a look that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _take(self) -> Survey | None:
        try:
            return await take_survey(self._engine, utc_now())
        except Exception as error:  # noqa: BLE001 - whatever it is, the other metrics are to be read
            if is_unavailable(error):
                log.warning("database_unavailable", loop="survey", waiting_for="PostgreSQL")
            else:
                log.warning("survey_failed", reason=describe_error(error))
            return None
