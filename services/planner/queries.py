"""Reads that only the planner needs. Statements that write stand in `shared.ledger`.

Each function runs inside the caller's transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.statuses import MailingState
from shared.stop_list import IS_HELD_BACK
from shared.windows import Window

_DUE_MAILINGS = text("""
    -- find_due_mailings --
    SELECT id, true AS is_new FROM mailings WHERE state = 'scheduled' AND starts_at <= :now
    UNION ALL
    SELECT id, false AS is_new FROM mailings
    WHERE state IN ('running', 'canceled') AND finished_at IS NULL
      AND started_at IS NOT NULL AND expanded_at IS NULL
    ORDER BY id
""")

_NEXT_START = text("""
    -- find_next_start --
    SELECT min(starts_at) FROM mailings WHERE state = 'scheduled'
""")

_MAILINGS_TO_RETRY = text("""
    -- find_mailings_to_retry --
    SELECT id FROM mailings
    WHERE retry_statuses IS NOT NULL AND state <> 'scheduled' AND finished_at IS NULL ORDER BY id
""")

_STOPS = text("""
    -- find_stops --
    SELECT id, revision FROM mailings WHERE stopped_at > :since
""")

_PENDING_STOPS = text("""
    -- find_pending_stops --
    SELECT id, revision FROM mailings WHERE stop_pending_since IS NOT NULL LIMIT 1000
""")

# Numbers, zones and the stop list are read at the last moment. A deleted client leaves a NULL.
_MESSAGES_OF_JOBS = text(f"""
    -- find_messages_of_jobs --
    SELECT m.job_id, array_agg(m.id ORDER BY m.id) AS ids,
        array_agg(coalesce(mailings.number, c.number) ORDER BY m.id) AS numbers,
        array_agg(CASE WHEN window_from IS NOT NULL THEN zone END ORDER BY m.id) AS zones,
        array_agg(m.client_id ORDER BY m.id) AS client_ids,
        array_agg(m.id) FILTER (WHERE {IS_HELD_BACK}) AS stopped_ids
    FROM messages AS m JOIN mailings ON mailings.id = m.mailing_id LEFT JOIN clients AS c ON c.id = m.client_id
    LEFT JOIN stops ON stops.number = coalesce(mailings.number, c.number)
    WHERE m.job_id = ANY(CAST(:job_ids AS bigint[])) AND m.status = 'new'
    GROUP BY m.job_id
""")  # noqa: S608 - the condition is ours

_OPEN_MESSAGES = text("""
    -- find_open_messages --
    SELECT m.id, m.job_id, m.client_id, m.tries, mailings.expired_at, mailings.state,
        mailings.window_from, mailings.window_until
    FROM messages AS m JOIN mailings ON mailings.id = m.mailing_id
    WHERE m.id = ANY(CAST(:ids AS bigint[])) AND m.status = 'new'
""")

_OVERDUE_JOBS = text("""
    -- find_overdue_jobs --
    SELECT jobs.id, request_id FROM jobs LEFT JOIN mailings ON mailings.id = mailing_id
    WHERE jobs.state = 'released' AND lease_until < :lease_before
    ORDER BY lease_until LIMIT :limit
""")

_EXPIRED_JOBS = text("""
    -- find_expired_jobs --
    SELECT jobs.id, mailings.expired_at, mailings.window_from, mailings.window_until
    FROM mailings JOIN jobs ON jobs.mailing_id = mailings.id AND jobs.state = 'planned'
    WHERE mailings.state = 'running' AND mailings.finished_at IS NULL AND mailings.expired_at <= :now
    ORDER BY jobs.id LIMIT :limit
""")

_CANCELED_JOBS = text("""
    -- find_canceled_jobs --
    SELECT jobs.id FROM mailings JOIN jobs ON jobs.mailing_id = mailings.id AND jobs.state = 'planned'
    WHERE mailings.state IN ('canceled', 'deleted') AND mailings.finished_at IS NULL
    ORDER BY jobs.id LIMIT :limit
""")

_MISSED_JOBS = text("""
    -- find_missed_jobs --
    SELECT jobs.id, window_from, window_until, request_id FROM jobs JOIN mailings ON mailings.id = jobs.mailing_id
    WHERE jobs.state = 'planned' AND send_before <= :now
      AND mailings.state = 'running' AND mailings.expired_at > :now
    ORDER BY send_before LIMIT :limit
""")

_JOBS_IN_OTHER_ZONES = text("""
    -- find_jobs_in_other_zones --
    SELECT id FROM jobs WHERE id = ANY(CAST(:ids AS bigint[])) AND EXISTS (
        SELECT FROM messages LEFT JOIN clients ON clients.id = client_id
        WHERE job_id = jobs.id AND status = 'new' AND clients.zone IS DISTINCT FROM jobs.zone
    )
""")


class DueMailings(NamedTuple):
    """Mailings that have something to expand. The first batch of those that start is small, so they go first."""

    starting: list[int]
    started: list[int]


class MessageInJob(NamedTuple):
    """Open message of a job. `number` is None if its client was deleted. `zone` is None if it does not matter.

    `is_stopped` is True if the number is on the stop list for this kind of message.
    """

    id: int
    number: int | None
    zone: str | None
    client_id: int
    is_stopped: bool


@dataclass(frozen=True, slots=True)
class ReportedMessage:
    """Open message of which a report says something, and the facts of its mailing."""

    job_id: int
    client_id: int
    tries: int
    expired_at: datetime
    mailing_state: MailingState
    window: Window | None


class ExpiredJob(NamedTuple):
    """End and window of the mailing that an unreleased job belongs to."""

    expired_at: datetime
    window: Window | None


class MissedJob(NamedTuple):
    """Window and request of the mailing whose job was not released during its opening."""

    window: Window | None
    request_id: str | None


async def find_due_mailings(connection: AsyncConnection, now: datetime) -> DueMailings:
    """Return the mailings whose time has come and that are not fully expanded."""
    rows = (await connection.execute(_DUE_MAILINGS, {"now": now})).all()
    return DueMailings([row.id for row in rows if row.is_new], [row.id for row in rows if not row.is_new])


async def find_next_start(connection: AsyncConnection) -> datetime | None:
    """Return the start of the next scheduled mailing; None if there is none."""
    starts_at: datetime | None = (await connection.execute(_NEXT_START)).scalar()
    return starts_at


async def find_mailings_to_retry(connection: AsyncConnection) -> list[int]:
    """Return the mailings for which a user has requested a retry."""
    return list((await connection.execute(_MAILINGS_TO_RETRY)).scalars())


async def find_stops(connection: AsyncConnection, since: datetime) -> dict[int, int]:
    """Return the revisions of the mailings that were stopped after `since`."""
    return {row.id: row.revision for row in await connection.execute(_STOPS, {"since": since})}


async def find_pending_stops(connection: AsyncConnection) -> dict[int, int]:
    """Return the revisions of the stopped mailings of which a sender may still POST messages."""
    return {row.id: row.revision for row in await connection.execute(_PENDING_STOPS)}


async def find_messages_of_jobs(
    connection: AsyncConnection, job_ids: Sequence[int]
) -> dict[int, list[MessageInJob]]:
    """Return the open messages of each job by ascending id."""
    rows = await connection.execute(_MESSAGES_OF_JOBS, {"job_ids": list(job_ids)})
    found = {}
    for row in rows:
        stopped = frozenset(row.stopped_ids or ())
        columns = zip(row.ids, row.numbers, row.zones, row.client_ids, strict=True)
        found[row.job_id] = [MessageInJob(*values, values[0] in stopped) for values in columns]
    return found


async def find_open_messages(connection: AsyncConnection, ids: Collection[int]) -> dict[int, ReportedMessage]:
    """Return those of the messages that are not settled, by id."""
    if not ids:
        return {}
    rows = await connection.execute(_OPEN_MESSAGES, {"ids": sorted(set(ids))})
    return {
        row.id: ReportedMessage(
            job_id=row.job_id,
            client_id=row.client_id,
            tries=row.tries,
            expired_at=row.expired_at,
            mailing_state=MailingState(row.state),
            window=Window.from_columns(row.window_from, row.window_until),
        )
        for row in rows
    }


async def find_overdue_jobs(
    connection: AsyncConnection, lease_before: datetime, limit: int
) -> dict[int, str | None]:
    """Return released jobs whose lease ended before the instant, with their request ids; the oldest first."""
    rows = await connection.execute(_OVERDUE_JOBS, {"lease_before": lease_before, "limit": limit})
    return {row.id: row.request_id for row in rows}


async def find_expired_jobs(connection: AsyncConnection, now: datetime, limit: int) -> dict[int, ExpiredJob]:
    """Return planned jobs of running mailings that are past their end."""
    rows = await connection.execute(_EXPIRED_JOBS, {"now": now, "limit": limit})
    return {
        row.id: ExpiredJob(row.expired_at, Window.from_columns(row.window_from, row.window_until)) for row in rows
    }


async def find_canceled_jobs(connection: AsyncConnection, limit: int) -> list[int]:
    """Return planned jobs of canceled and deleted mailings."""
    return list((await connection.execute(_CANCELED_JOBS, {"limit": limit})).scalars())


async def find_missed_jobs(connection: AsyncConnection, now: datetime, limit: int) -> dict[int, MissedJob]:
    """Return planned jobs whose local window has closed before they were released."""
    rows = await connection.execute(_MISSED_JOBS, {"now": now, "limit": limit})
    return {
        row.id: MissedJob(Window.from_columns(row.window_from, row.window_until), row.request_id) for row in rows
    }


async def find_jobs_in_other_zones(connection: AsyncConnection, ids: Sequence[int]) -> list[int]:
    """Return those of the jobs with a client that was deleted, or is in another zone now."""
    return list((await connection.execute(_JOBS_IN_OTHER_ZONES, {"ids": list(ids)})).scalars())
