"""Reads that the release needs: which mailings have due jobs, and how much work is with the senders."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.pacing import Rank

RELEASE_LOCK = 7_400_002  # key of the advisory lock

_TRY_LOCK = text("""
    -- try_release_lock --
    SELECT pg_try_advisory_xact_lock(:key)
""")

# `recent` counts those whose lease shows that they were released a short time ago.
_OUTSTANDING = text("""
    -- find_outstanding --
    SELECT mailing_id, sum(open) AS open, coalesce(sum(open) FILTER (WHERE lease_until > :lease_after), 0) AS
    recent FROM jobs WHERE state = 'released' GROUP BY mailing_id
""")

_DONE_SINCE = text("""
    -- count_done_since --
    SELECT coalesce(sum(size), 0) FROM jobs WHERE state = 'done' AND done_at > :since
""")

_READY = """
    -- find_ready_mailings --
    SELECT id, express, rate, revision, taken_until AS next_slot_at
    FROM mailings LEFT JOIN paces ON paces.mailing_id = mailings.id
    WHERE {condition} AND state = 'running' AND finished_at IS NULL AND paused_at IS NULL
      AND starts_at <= :now AND expired_at > :now
      AND EXISTS (
          SELECT FROM jobs WHERE jobs.mailing_id = mailings.id AND state = 'planned' AND due_at <= :now
      )
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


class Outstanding(NamedTuple):
    """Open messages of a mailing that are with the senders, and those of them that were released recently."""

    open: int
    recent: int


async def try_release_lock(connection: AsyncConnection) -> bool:
    """Take the lock of the release for this transaction; False if another planner has it."""
    locked: bool = (await connection.execute(_TRY_LOCK, {"key": RELEASE_LOCK})).scalar_one()
    return locked


async def find_outstanding(connection: AsyncConnection, lease_after: datetime) -> dict[int, Outstanding]:
    """Return, by mailing, the messages that are with the senders.

    Jobs with a lease that ends after `lease_after` count as recent.
    """
    rows = await connection.execute(_OUTSTANDING, {"lease_after": lease_after})
    return {row.mailing_id: Outstanding(int(row.open), int(row.recent)) for row in rows}


async def count_done_since(connection: AsyncConnection, since: datetime) -> int:
    """Return the number of messages in jobs that were done after `since`."""
    done: int = (await connection.execute(_DONE_SINCE, {"since": since})).scalar_one()
    return int(done)


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
