"""Reads that the release needs: which mailings have due jobs, and how much work is with the senders."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.capacity import Done
from services.planner.pacing import Rank

RELEASE_LOCK = 7_400_002  # key of the advisory lock

_TRY_LOCK = text("""
    -- try_release_lock --
    SELECT pg_try_advisory_xact_lock(:key)
""")

# An advisory lock with a key of 64 bits shows the key's halves. PostgreSQL shows a role its own sessions.
_LOCK_HOLDER = text("""
    -- find_release_lock_holder --
    SELECT application_name, state,
        CAST(extract(epoch FROM clock_timestamp() - xact_start) AS double precision) AS seconds
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND classid = 0 AND objid = CAST(:key AS oid) AND objsubid = 1 AND granted
      AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND xact_start IS NOT NULL
""")

# Those that are counted were released lately, as their lease shows.
_OUTSTANDING = text("""
    -- find_outstanding --
    SELECT mailing_id, open, rate IS NULL AS is_unlimited FROM (
        SELECT mailing_id, sum(open) AS open FROM jobs
        WHERE state = 'released' AND lease_until > :lease_after GROUP BY mailing_id
    ) AS released LEFT JOIN mailings ON mailings.id = mailing_id
""")

_DONE_SINCE = text("""
    -- find_done_since --
    SELECT coalesce(sum(size), 0) AS messages, max(lease_until) AS newest_lease
    FROM jobs LEFT JOIN mailings ON mailings.id = mailing_id
    WHERE jobs.state = 'done' AND done_at > :since AND rate IS NULL
""")

# LATERAL with a LIMIT: with EXISTS, PostgreSQL reads all jobs that are planned when many mailings are running.
_READY = """
    -- find_ready_mailings --
    SELECT id, express, rate, revision, taken_until AS next_slot_at
    FROM mailings LEFT JOIN paces ON paces.mailing_id = mailings.id
    CROSS JOIN LATERAL (
        SELECT FROM jobs
        WHERE jobs.mailing_id = mailings.id AND jobs.state = 'planned' AND due_at <= :now LIMIT 1
    ) AS due
    WHERE {condition} AND mailings.state = 'running' AND finished_at IS NULL AND paused_at IS NULL
      AND starts_at <= :now AND expired_at > :now
    ORDER BY id
"""
_READY_MAILINGS = text(_READY.format(condition="NOT express"))
_READY_SINGLES = text(_READY.format(condition="express") + "LIMIT :limit")


@dataclass(frozen=True, slots=True)
class ReadyMailing:
    """Mailing with due jobs. `next_slot_at` is the first free slot of its rate limit, since the epoch."""

    id: int
    is_single: bool
    rate: float | None  # messages per second
    revision: int
    next_slot_at: float | None

    @property
    def rank(self) -> Rank:
        """Order in which mailings get the provider's slots."""
        if self.is_single:
            return Rank.SINGLE
        return Rank.SHARED if self.rate is None else Rank.LIMITED


class LockHolder(NamedTuple):
    """Planner that has the lock of the release, the state of its session, and the age of its transaction."""

    name: str
    state: str
    seconds: float


class Outstanding(NamedTuple):
    """Open messages of a mailing that are with the senders. `is_unlimited` says that it has no rate of its own."""

    open: int
    is_unlimited: bool


async def try_release_lock(connection: AsyncConnection) -> bool:
    """Take the lock of the release for this transaction; False if another planner has it."""
    locked: bool = (await connection.execute(_TRY_LOCK, {"key": RELEASE_LOCK})).scalar_one()
    return locked


async def find_release_lock_holder(connection: AsyncConnection) -> LockHolder | None:
    """Return the planner that has the lock of the release; None if nobody has it."""
    row = (await connection.execute(_LOCK_HOLDER, {"key": RELEASE_LOCK})).first()
    return None if row is None else LockHolder(row.application_name, row.state, row.seconds)


async def find_outstanding(connection: AsyncConnection, lease_after: datetime) -> dict[int, Outstanding]:
    """Return, by mailing, the messages that are with the senders, of jobs with a lease that ends after the
    instant.
    """
    rows = await connection.execute(_OUTSTANDING, {"lease_after": lease_after})
    return {row.mailing_id: Outstanding(int(row.open), row.is_unlimited) for row in rows}


async def find_done(connection: AsyncConnection, now: datetime, periods: Iterable[timedelta]) -> Done:
    """Return what was done of mailings without a rate, in the first of the periods in which anything was."""
    done = Done(0, timedelta(seconds=1))
    for period in periods:
        row = (await connection.execute(_DONE_SINCE, {"since": now - period})).one()
        done = Done(int(row.messages), period, row.newest_lease)
        if done.messages:
            break
    return done


async def find_ready_mailings(connection: AsyncConnection, now: datetime, max_singles: int) -> list[ReadyMailing]:
    """Return the mailings with due jobs: up to `max_singles` single messages first, then all others."""
    singles = (await connection.execute(_READY_SINGLES, {"now": now, "limit": max_singles})).all()
    mailings = (await connection.execute(_READY_MAILINGS, {"now": now})).all()
    return [
        ReadyMailing(
            id=row.id,
            is_single=row.express,
            rate=row.rate,
            revision=row.revision,
            next_slot_at=row.next_slot_at,
        )
        for row in (*singles, *mailings)
    ]
