"""Release: due jobs go out to the senders, a bounded amount ahead of them, every running mailing in turn.

The bound (about two seconds of work) is what makes pause, cancel and fairness work, and keeps the broker small.
How much two seconds are is read off the ledger: what was done in the last two. So nothing need be remembered,
and any planner can take any turn; an advisory lock sees to it that there is one at a time.

Jobs are stamped `released` first and published after the commit. A publication that is known to have failed
puts its job back at once; one whose end is unknown waits for the end of its lease.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.ledger import LockedJob, cancel_messages, lock_jobs
from services.planner.settings import PlannerSettings
from services.planner.sharing import share_out
from shared.broker import Publisher
from shared.contracts import Job, JobMessage
from shared.counters import Moves
from shared.database import transaction
from shared.errors import NotPublished, PublishUnknown
from shared.statuses import JobState, MessageStatus
from shared.topology import JOBS

log = structlog.get_logger()

RELEASE_LOCK = 7_400_002  # the key of the advisory lock
MOST_JOBS_AT_ONCE = 500

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")

_OUTSTANDING = text("SELECT mailing_id, sum(open) AS open FROM jobs WHERE state = 'released' GROUP BY mailing_id")

_DONE_LATELY = text("SELECT coalesce(sum(size), 0) FROM jobs WHERE state = 'done' AND done_at > :since")

_READY = text("""
    SELECT id FROM mailings
    WHERE state = 'running' AND finished_at IS NULL AND paused_at IS NULL
      AND starts_at <= :now AND expired_at > :now
      AND EXISTS (
          SELECT FROM jobs WHERE mailing_id = mailings.id AND state = 'planned' AND due_at <= :now
      )
    ORDER BY id
""")

# No SKIP LOCKED: whoever else has one of these jobs (a sweep, the deletion of a client) is done in a moment,
# and `state` is then looked at again.
_CLAIM = text("""
    WITH picked AS (
        SELECT due.id
        FROM unnest(CAST(:mailings AS bigint[]), CAST(:shares AS bigint[])) AS share(mailing_id, messages)
        CROSS JOIN LATERAL (
            SELECT id, sum(open) OVER (ORDER BY due_at, id) - open AS before
            FROM (
                SELECT id, open, due_at FROM jobs
                WHERE mailing_id = share.mailing_id AND state = 'planned' AND due_at <= :now
                ORDER BY due_at, id LIMIT :most
            ) AS first
        ) AS due
        WHERE due.before < share.messages
    )
    UPDATE jobs SET state = 'released', release = release + 1, lease_until = :lease_until
    FROM mailings
    WHERE jobs.id IN (SELECT id FROM picked) AND jobs.state = 'planned' AND mailings.id = jobs.mailing_id
      AND mailings.state = 'running' AND mailings.paused_at IS NULL
    RETURNING jobs.id, jobs.mailing_id, jobs.release, jobs.open, mailings.revision, mailings.text,
              least(jobs.send_before, mailings.expired_at) AS send_before, mailings.request_id
""")

# Numbers are read at the last moment; a client that is gone leaves a NULL.
_MESSAGES = text("""
    SELECT m.job_id, array_agg(m.id ORDER BY m.id) AS ids, array_agg(c.number ORDER BY m.id) AS numbers
    FROM messages AS m LEFT JOIN clients AS c ON c.id = m.client_id
    WHERE m.job_id = ANY(CAST(:job_ids AS bigint[])) AND m.status = 'new'
    GROUP BY m.job_id
""")

_PUT_BACK = text("UPDATE jobs SET state = 'planned', lease_until = NULL WHERE id = ANY(CAST(:ids AS bigint[]))")


class Claimed(NamedTuple):
    """A job that was just stamped released, and what its mailing looked like in that instant."""

    id: int
    mailing_id: int
    release: int
    open: int
    revision: int
    text: str
    send_before: datetime
    request_id: str | None


async def release(engine: AsyncEngine, publisher: Publisher, settings: PlannerSettings, *, now: datetime) -> int:
    """Releases what there is room for; returns how many jobs went out. Raises DatabaseUnavailable."""
    async with transaction(engine) as connection:
        if not (await connection.execute(_TRY_LOCK, {"key": RELEASE_LOCK})).scalar():
            return 0
        shares = await _shares(connection, settings, now)
        jobs = await claim(connection, shares, now + settings.lease, now) if shares else []
    if not jobs:
        return 0
    published = await asyncio.gather(*(_publish(publisher, job) for job in jobs))
    failed = [job for job, taken in zip(jobs, published, strict=True) if not taken]
    if failed:
        await put_back(engine, failed)
    log.debug("jobs_released", jobs=len(jobs) - len(failed), put_back=len(failed))
    return len(jobs) - len(failed)


async def _shares(connection: AsyncConnection, settings: PlannerSettings, now: datetime) -> dict[int, int]:
    """How many messages of each mailing may go out now."""
    ready = (await connection.execute(_READY, {"now": now})).scalars().all()
    if not ready:
        return {}
    outstanding = {row.mailing_id: int(row.open) for row in await connection.execute(_OUTSTANDING)}
    since = now - settings.release_ahead
    done: int = (await connection.execute(_DONE_LATELY, {"since": since})).scalar_one()
    room = done + settings.release_least * settings.chunk_size - sum(outstanding.values())
    return share_out(room, {mailing_id: outstanding.get(mailing_id, 0) for mailing_id in ready})


async def claim(
    connection: AsyncConnection, shares: dict[int, int], lease_until: datetime, now: datetime
) -> list[Job]:
    """Stamps jobs released, and reads what the senders need to know of them."""
    parameters = {"mailings": list(shares), "shares": list(shares.values()), "now": now}
    rows = await connection.execute(_CLAIM, parameters | {"lease_until": lease_until, "most": MOST_JOBS_AT_ONCE})
    claimed = [Claimed(*row) for row in rows]
    moves = Moves()
    for job in claimed:
        moves.add(job.mailing_id, MessageStatus.NEW, MessageStatus.ACTIVE, job.open)
    messages = await _messages(connection, [job.id for job in claimed])
    gone = [message.id for members in messages.values() for message in members if not message.number]
    await cancel_messages(connection, _as_locked(claimed), gone, moves, now)
    await moves.apply(connection)
    return [
        _job(job, members, lease_until)
        for job in claimed
        if (members := tuple(m for m in messages.get(job.id, ()) if m.number))
    ]


def _as_locked(claimed: Sequence[Claimed]) -> dict[int, LockedJob]:
    """The claimed jobs as the ledger knows them: this transaction holds their rows."""
    return {
        job.id: LockedJob(job.id, job.mailing_id, JobState.RELEASED, job.release, job.open, None)
        for job in claimed
    }


async def _messages(connection: AsyncConnection, job_ids: Sequence[int]) -> dict[int, list[JobMessage]]:
    """Open messages by job; number 0 where the client is gone."""
    rows = await connection.execute(_MESSAGES, {"job_ids": list(job_ids)})
    return {
        row.job_id: [JobMessage(id_, number or 0) for id_, number in zip(row.ids, row.numbers, strict=True)]
        for row in rows
    }


def _job(claimed: Claimed, messages: tuple[JobMessage, ...], lease_until: datetime) -> Job:
    return Job(
        job_id=claimed.id,
        release=claimed.release,
        mailing_id=claimed.mailing_id,
        revision=claimed.revision,
        text=claimed.text,
        send_before=claimed.send_before,
        lease_until=lease_until,
        messages=messages,
        request_id=claimed.request_id,
    )


async def _publish(publisher: Publisher, job: Job) -> bool:
    """Whether the job is on its way, or may be: then its lease decides."""
    try:
        await publisher.publish(JOBS, "job", job.model_dump_json().encode())
    except NotPublished as error:
        log.warning("job_not_published", job_id=job.job_id, mailing_id=job.mailing_id, error=str(error))
        return False
    except PublishUnknown as error:
        log.warning("job_publish_unknown", job_id=job.job_id, mailing_id=job.mailing_id, error=str(error))
    return True


async def put_back(engine: AsyncEngine, jobs: Sequence[Job]) -> None:
    """Makes released jobs planned again: nobody has them. One whose lease ran out before we came to this may be
    out in another release, which is somebody's."""
    releases = {job.job_id: job.release for job in jobs}
    async with transaction(engine) as connection:
        locked = await lock_jobs(connection, releases)
        ours = {job.id: job for job in locked.values() if job.release == releases[job.id]}
        await put_back_locked(connection, ours)


async def put_back_locked(connection: AsyncConnection, jobs: dict[int, LockedJob]) -> None:
    """The same for jobs that the transaction has locked; those that are not released stay as they are."""
    released = {job.id: job for job in jobs.values() if job.state is JobState.RELEASED}
    moves = Moves()
    for job in released.values():
        moves.add(job.mailing_id, MessageStatus.ACTIVE, MessageStatus.NEW, job.open)
    await connection.execute(_PUT_BACK, {"ids": sorted(released)})
    await moves.apply(connection)
