"""Every statement that writes the table `jobs`, except for the jobs that are dealt out in `dealing`.

The functions run inside the caller's transaction. Every transaction locks jobs first, then messages, then
counters.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.counters import StatusMoves
from shared.statuses import JobState, MessageStatus
from shared.windows import Window

MAX_JOBS_CLAIMED = 500  # of one mailing at once

_LOCK_JOBS = text("""
    -- lock_jobs --
    SELECT id, mailing_id, state, release, open, zone, send_before, returns FROM jobs
    WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
""")

_LOCK_PLANNED_JOBS_OF_CLIENT = text("""
    -- lock_planned_jobs_of_client --
    SELECT id FROM jobs
    WHERE state = 'planned'
      AND id IN (SELECT job_id FROM messages WHERE client_id = :client_id AND status = 'new')
    ORDER BY id FOR UPDATE
""")

_CREATE_JOB = text("""
    -- create_job --
    INSERT INTO jobs (mailing_id, zone, due_at, send_before, size, open, returns)
    VALUES (:mailing_id, :zone, :due_at, :send_before, :size, :size, :returns) RETURNING id
""")

# The shares that count together get no more than `room`: the first job of each of these mailings, those that have
# been due for longest first, then the second ones. Otherwise a share of a few messages would bring a whole job of
# each mailing.
# Jobs of a mailing with a local window go by the end of their opening; `replan_jobs` is for those whose opening is
# over. Under a rate limit, a job that closes before the first slot is not claimed. A mailing whose revision
# differs from the share's was stopped or changed after the shares were made. There is no SKIP LOCKED: another
# transaction holds one of these jobs for a moment only, and `state` is checked again under the lock.
_CLAIM_JOBS = text("""
    -- claim_jobs --
    WITH picked AS MATERIALIZED (
        SELECT id, revision FROM (
            SELECT due.id, share.revision, share.counts,
                sum(CASE WHEN share.counts THEN due.open END)
                    OVER (ORDER BY due.before, due.due_at, due.id) - due.open AS before
            FROM unnest(
                CAST(:mailing_ids AS bigint[]), CAST(:messages AS bigint[]), CAST(:revisions AS integer[]),
                CAST(:first_slots AS timestamptz[]), CAST(:counts AS boolean[])
            ) AS share(mailing_id, messages, revision, first_slot, counts)
            CROSS JOIN LATERAL (
                SELECT id, open, due_at, sum(open) OVER (ORDER BY send_before, due_at, id) - open AS before
                FROM (
                    SELECT id, open, send_before, due_at FROM jobs
                    WHERE mailing_id = share.mailing_id AND state = 'planned' AND due_at <= :now
                      AND (send_before IS NULL OR send_before > share.first_slot)
                    ORDER BY send_before, due_at, id LIMIT :max_jobs
                ) AS first
            ) AS due
            WHERE due.before < share.messages
        ) AS shares
        WHERE NOT counts OR before < :room
    )
    UPDATE jobs SET state = 'released', release = release + 1, lease_until = :lease_until,
        begun_to = NULL, delivered = NULL
    FROM mailings, picked
    WHERE jobs.id = picked.id AND jobs.state = 'planned' AND mailings.id = jobs.mailing_id
      AND mailings.state = 'running' AND mailings.paused_at IS NULL AND mailings.revision = picked.revision
    RETURNING jobs.id, jobs.mailing_id, jobs.release, jobs.open, jobs.zone, jobs.send_before, mailings.expired_at,
              mailings.window_from, mailings.window_until, mailings.express, mailings.revision, mailings.text,
              mailings.request_id, mailings.traceparent, jobs.returns
""")

_REMOVE_MESSAGES = text("""
    -- remove_messages_from_jobs --
    UPDATE jobs
    SET open = open - removed.count,
        state = CASE WHEN open = removed.count THEN 'done' ELSE state END,
        done_at = CASE WHEN open = removed.count THEN CAST(:now AS timestamptz) END,
        sender = coalesce(removed.sender, jobs.sender)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:counts AS integer[]), CAST(:senders AS text[])
    ) AS removed(id, count, sender)
    WHERE jobs.id = removed.id
""")

_NOTE_BEGUN = text("""
    -- note_begun --
    UPDATE jobs SET begun_to = greatest(jobs.begun_to, noted.begun_to)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:releases AS integer[]), CAST(:begun_tos AS bigint[])
    ) AS noted(id, release, begun_to)
    WHERE jobs.id = noted.id AND jobs.release = noted.release AND jobs.state = 'released'
""")

_MARK_DELIVERED = text("""
    -- mark_delivered --
    UPDATE jobs SET delivered = true
    FROM unnest(CAST(:ids AS bigint[]), CAST(:releases AS integer[])) AS given(id, release)
    WHERE jobs.id = given.id AND jobs.release = given.release AND jobs.state = 'released'
""")

_RECALL_JOBS = text("""
    -- recall_jobs --
    UPDATE jobs SET lease_until = least(jobs.lease_until, given.lease_until), delivered = false
    FROM unnest(CAST(:ids AS bigint[]), CAST(:lease_untils AS timestamptz[])) AS given(id, lease_until)
    WHERE jobs.id = given.id AND jobs.state = 'released'
""")

_PUT_BACK_JOBS = text("""
    -- put_back_jobs --
    UPDATE jobs
    SET state = 'planned', lease_until = NULL, returns = returns + 1, due_at = greatest(jobs.due_at, given.due_at)
    FROM unnest(CAST(:ids AS bigint[]), CAST(:due_ats AS timestamptz[])) AS given(id, due_at)
    WHERE jobs.id = given.id
""")

_REPLAN_JOBS = text("""
    -- replan_jobs --
    UPDATE jobs SET due_at = given.due_at, send_before = given.send_before
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:due_ats AS timestamptz[]), CAST(:send_befores AS timestamptz[])
    ) AS given(id, due_at, send_before)
    WHERE jobs.id = given.id
""")

# The planner plans a job anew when its `send_before` is past. A message that comes back from a sender keeps the
# `send_before` of its job, so it is planned anew, too. With OR and not IN, each state finds its index.
_EXPIRE_PLANS_OF_MAILING = text("""
    -- expire_plans_of_mailing --
    WITH concerned AS MATERIALIZED (
        SELECT id FROM jobs
        WHERE mailing_id = :mailing_id AND (state = 'planned' OR state = 'released') AND zone IS NOT NULL
        ORDER BY id FOR UPDATE
    )
    UPDATE jobs SET due_at = :now, send_before = :now FROM concerned WHERE jobs.id = concerned.id
""")

_DELETE_JOBS_OF_MAILING = text("""
    -- delete_jobs_of_mailing --
    DELETE FROM jobs WHERE mailing_id = :mailing_id
""")


class NewJob(NamedTuple):
    """Columns of a planned job. `send_before` is the end of the local window's opening, if there is a window."""

    mailing_id: int
    zone: str | None
    due_at: datetime
    send_before: datetime | None
    returns: int = 0  # times that its messages have come back in a row without a POST


class LockedJob(NamedTuple):
    """A job whose row this transaction has locked."""

    id: int
    mailing_id: int
    state: JobState
    release: int
    open: int
    zone: str | None
    send_before: datetime | None
    returns: int

    @property
    def status_of_open(self) -> MessageStatus:
        """Status that the counters show for its unsettled messages."""
        return MessageStatus.ACTIVE if self.state is JobState.RELEASED else MessageStatus.NEW


class BegunMessages(NamedTuple):
    """Note of a sender: POSTs of the job's messages up to the id `begun_to` may have begun."""

    job_id: int
    release: int
    begun_to: int


class ReleaseShare(NamedTuple):
    """Number of messages of one mailing that may be released now.

    `revision` is the mailing's revision when the share was made. `first_slot` is the first instant of its rate
    limit that is free, or now. `counts` says that the share is a part of the room that all such shares have.
    """

    mailing_id: int
    messages: int
    revision: int
    first_slot: datetime
    counts: bool


class ClaimedJob(NamedTuple):
    """A job that this transaction has just released, and its mailing as it was in that instant."""

    id: int
    mailing_id: int
    release: int
    open: int
    zone: str | None
    send_before: datetime | None
    expired_at: datetime
    window: Window | None
    is_single: bool
    revision: int
    text: str
    request_id: str | None
    traceparent: str | None
    returns: int

    @property
    def as_locked(self) -> LockedJob:
        """Return the job for the functions that take locked jobs."""
        return LockedJob(
            self.id,
            self.mailing_id,
            JobState.RELEASED,
            self.release,
            self.open,
            self.zone,
            self.send_before,
            self.returns,
        )


async def lock_jobs(connection: AsyncConnection, ids: Collection[int]) -> dict[int, LockedJob]:
    """Lock the jobs by ascending id. Jobs that do not exist are missing from the result."""
    rows = await connection.execute(_LOCK_JOBS, {"ids": sorted(ids)})
    return {
        row.id: LockedJob(
            id=row.id,
            mailing_id=row.mailing_id,
            state=JobState(row.state),
            release=row.release,
            open=row.open,
            zone=row.zone,
            send_before=row.send_before,
            returns=row.returns,
        )
        for row in rows
    }


async def lock_planned_jobs_of_client(connection: AsyncConnection, client_id: int) -> list[int]:
    """Lock the planned jobs with an open message to the client, and return their ids."""
    rows = await connection.execute(_LOCK_PLANNED_JOBS_OF_CLIENT, {"client_id": client_id})
    return list(rows.scalars())


async def create_job(connection: AsyncConnection, job: NewJob, size: int) -> int:
    """Create a planned job for `size` messages, and return its id."""
    created = await connection.execute(_CREATE_JOB, {**job._asdict(), "size": size})
    job_id: int = created.scalar_one()
    return job_id


async def claim_jobs(
    connection: AsyncConnection, shares: Sequence[ReleaseShare], room: int, lease_until: datetime, now: datetime
) -> list[ClaimedJob]:
    """Mark due jobs as released, up to each mailing's share and to the common room. The caller moves the counters.

    The last job may exceed its share or the room.
    """
    rows = await connection.execute(
        _CLAIM_JOBS,
        {
            "mailing_ids": [share.mailing_id for share in shares],
            "messages": [share.messages for share in shares],
            "revisions": [share.revision for share in shares],
            "first_slots": [share.first_slot for share in shares],
            "counts": [share.counts for share in shares],
            "room": room,
            "lease_until": lease_until,
            "now": now,
            "max_jobs": MAX_JOBS_CLAIMED,
        },
    )
    return [
        ClaimedJob(
            id=row.id,
            mailing_id=row.mailing_id,
            release=row.release,
            open=row.open,
            zone=row.zone,
            send_before=row.send_before,
            expired_at=row.expired_at,
            window=Window.from_columns(row.window_from, row.window_until),
            is_single=row.express,
            revision=row.revision,
            text=row.text,
            request_id=row.request_id,
            traceparent=row.traceparent,
            returns=row.returns,
        )
        for row in rows
    ]


async def remove_messages_from_jobs(
    connection: AsyncConnection,
    counts: Mapping[int, int],
    *,
    now: datetime,
    senders: Mapping[int, str] | None = None,
) -> None:
    """Lower the number of open messages of each job by its count; a job with none left is done.

    `senders` holds, by job, the name of the sender that reported on it last.
    """
    if not counts:
        return
    ids = sorted(counts)
    await connection.execute(
        _REMOVE_MESSAGES,
        {
            "ids": ids,
            "counts": [counts[job_id] for job_id in ids],
            "senders": [(senders or {}).get(job_id) for job_id in ids],
            "now": now,
        },
    )


async def note_begun(connection: AsyncConnection, notes: Iterable[BegunMessages]) -> None:
    """Store which messages of these locked jobs may have been POSTed. A note of an older release is ignored."""
    highest: dict[tuple[int, int], int] = {}
    for note in notes:
        key = note.job_id, note.release
        highest[key] = max(note.begun_to, highest.get(key, 0))
    if highest:
        values = {
            "ids": [job_id for job_id, _ in highest],
            "releases": [release for _, release in highest],
            "begun_tos": list(highest.values()),
        }
        await connection.execute(_NOTE_BEGUN, values)


async def mark_delivered(connection: AsyncConnection, releases: Mapping[int, int]) -> None:
    """Store that RabbitMQ has taken these jobs, by id, in these releases. The caller has locked them."""
    values = {"ids": list(releases), "releases": list(releases.values())}
    await connection.execute(_MARK_DELIVERED, values)


async def recall_jobs(connection: AsyncConnection, lease_untils: Mapping[int, datetime]) -> None:
    """Let the leases of these locked jobs end at the instant, because RabbitMQ delivered the jobs again."""
    if lease_untils:
        values = {"ids": list(lease_untils), "lease_untils": list(lease_untils.values())}
        await connection.execute(_RECALL_JOBS, values)


async def put_back_jobs(
    connection: AsyncConnection, jobs: Iterable[LockedJob], due_at: Callable[[LockedJob], datetime | None]
) -> None:
    """Make the released ones of these locked jobs planned again, and move the counters.

    They are not due before `due_at`, if it returns an instant.
    """
    released = sorted(job for job in jobs if job.state is JobState.RELEASED)
    moves = StatusMoves()
    for job in released:
        moves.add(job.mailing_id, MessageStatus.ACTIVE, MessageStatus.NEW, job.open)
    values = {"ids": [job.id for job in released], "due_ats": [due_at(job) for job in released]}
    await connection.execute(_PUT_BACK_JOBS, values)
    await moves.apply(connection)


async def replan_jobs(connection: AsyncConnection, plans: Mapping[int, tuple[datetime, datetime | None]]) -> None:
    """Give each job, by id, a new `due_at` and `send_before`."""
    await connection.execute(
        _REPLAN_JOBS,
        {
            "ids": list(plans),
            "due_ats": [due_at for due_at, _ in plans.values()],
            "send_befores": [send_before for _, send_before in plans.values()],
        },
    )


async def expire_plans_of_mailing(connection: AsyncConnection, mailing_id: int, now: datetime) -> None:
    """Make the planner plan all jobs anew that were planned for a local window, because the window has changed."""
    await connection.execute(_EXPIRE_PLANS_OF_MAILING, {"mailing_id": mailing_id, "now": now})


async def delete_jobs_of_mailing(connection: AsyncConnection, mailing_id: int) -> None:
    """Delete all jobs of the mailing."""
    await connection.execute(_DELETE_JOBS_OF_MAILING, {"mailing_id": mailing_id})
