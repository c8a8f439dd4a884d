"""The ledger's entries: every change of messages and jobs that the planner makes, as SQL.

All functions run inside the caller's transaction, and keep the order of locks: jobs, messages, counters.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.planning import Plan
from shared.database.engine import array_of
from shared.ledger.counters import Moves
from shared.statuses import JobState, MessageStatus, Reason

_LOCK_JOBS = text("""
    SELECT id, mailing_id, state, release, open, zone, send_before FROM jobs
    WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
""")

_SETTLE = text("""
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS bigint[]), CAST(:statuses AS message_status[]), CAST(:reasons AS message_reason[]),
            CAST(:ats AS bigint[]), CAST(:durations AS integer[])
        ) AS given(id, status, reason, at_ms, duration_ms)
        ORDER BY id
    ), settled AS (
        UPDATE messages
        SET status = given.status, reason = coalesce(given.reason, 'none'), duration_ms = given.duration_ms,
            settled_at = to_timestamp(given.at_ms / 1000.0)
        FROM given
        WHERE messages.id = given.id AND messages.status = 'new'
        RETURNING messages.id, mailing_id, client_id, job_id, messages.status, given.reason, tries
    )
    SELECT mailing_id, job_id, status, count(*) AS messages,
        array_agg(id) FILTER (WHERE tries > 0) AS tried_before, reason,
        array_agg(id) FILTER (WHERE named) AS ids, array_agg(client_id) FILTER (WHERE named) AS client_ids
    FROM settled, LATERAL (SELECT CAST(:name_all AS boolean) OR status <> 'sent' AS named) AS naming
    GROUP BY mailing_id, job_id, status, reason
""")

_SETTLE_JOBS = text("""
    WITH settled AS (
        UPDATE messages
        SET status = CAST(:status AS message_status), reason = CAST(:reason AS message_reason), settled_at = :now
        WHERE job_id = ANY(CAST(:job_ids AS bigint[])) AND status = 'new'
        RETURNING id, client_id, mailing_id, job_id
    )
    SELECT mailing_id, job_id, array_agg(settled.id) AS ids, array_agg(client_id) AS client_ids, request_id
    FROM settled LEFT JOIN mailings ON mailings.id = mailing_id GROUP BY mailing_id, job_id, request_id
""")

_NEW_JOB = text("""
    INSERT INTO jobs (mailing_id, zone, due_at, send_before, size, open)
    VALUES (:mailing_id, :zone, :due_at, :send_before, :size, :size) RETURNING id
""")

_MOVE = text("""
    WITH moved AS (
        UPDATE messages SET job_id = :to, tries = least(tries + :counts, 32767)
        WHERE id = ANY(CAST(:ids AS bigint[])) AND status = 'new'
        RETURNING 1
    )
    SELECT count(*) FROM moved
""")

_TAKE_FROM_JOBS = text("""
    UPDATE jobs
    SET open = open - taken.count,
        state = CASE WHEN open = taken.count THEN 'done' ELSE state END,
        done_at = CASE WHEN open = taken.count THEN CAST(:now AS timestamptz) END,
        sender = coalesce(taken.sender, jobs.sender)
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:counts AS integer[]), CAST(:senders AS text[])
    ) AS taken(id, count, sender)
    WHERE jobs.id = taken.id
""")


class LockedJob(NamedTuple):
    """A job that nobody else can change now."""

    id: int
    mailing_id: int
    state: JobState
    release: int
    open: int
    zone: str | None
    send_before: datetime | None

    @property
    def status_of_open(self) -> MessageStatus:
        """What its unsettled messages count as."""
        return MessageStatus.ACTIVE if self.state is JobState.RELEASED else MessageStatus.NEW


class Settlement(NamedTuple):
    """The end of one message's story; `at_ms` is the instant, `duration_ms` that of the POST, if any."""

    message_id: int
    status: MessageStatus
    reason: Reason | None
    at_ms: int
    duration_ms: int | None


class Settled(NamedTuple):
    """Messages of one job that were settled now, and had not been before."""

    mailing_id: int
    job_id: int
    status: MessageStatus
    messages: int
    tried_before: list[int] | None  # ids of those that earlier deliveries had failed for
    reason: Reason | None
    ids: list[int] | None  # of all, unless they were sent and nobody asked for these
    client_ids: list[int] | None  # in the same order


class Closed(NamedTuple):
    """Messages of one job that were settled untried; `client_ids` in the order of `ids`."""

    mailing_id: int
    job_id: int
    ids: list[int]
    client_ids: list[int]
    request_id: str | None


async def lock_jobs(connection: AsyncConnection, ids: Collection[int]) -> dict[int, LockedJob]:
    """Locks the jobs, by ascending id; those that are gone are missing from the answer."""
    rows = (await connection.execute(_LOCK_JOBS, {"ids": sorted(ids)})).all()
    return {row.id: LockedJob(row.id, row.mailing_id, JobState(row.state), *row[3:]) for row in rows}


async def settle(
    connection: AsyncConnection, settlements: Sequence[Settlement], *, name_all: bool = False
) -> list[Settled]:
    """Writes final states; what is final already stays. The caller takes the messages from their jobs.

    `name_all`: what was sent is wanted by id, too.
    """
    if not settlements:
        return []
    names = ("ids", "statuses", "reasons", "ats", "durations")
    columns = (array_of(column) for column in zip(*settlements, strict=True))
    given: dict[str, object] = dict(zip(names, columns, strict=True))
    return [Settled(*row) for row in await connection.execute(_SETTLE, given | {"name_all": name_all})]


async def settle_jobs(
    connection: AsyncConnection, jobs: Collection[LockedJob], status: MessageStatus, reason: Reason, now: datetime
) -> list[Closed]:
    """Gives every open message of the jobs one final state, with jobs and counters; returns which."""
    if not jobs:
        return []
    by_id = {job.id: job for job in jobs}
    parameters = {"job_ids": sorted(by_id), "status": status, "reason": reason, "now": now}
    closed = [Closed(*row) for row in await connection.execute(_SETTLE_JOBS, parameters)]
    moves = Moves()
    for one in closed:
        moves.add(one.mailing_id, by_id[one.job_id].status_of_open, status, len(one.ids))
    await take_from_jobs(connection, {one.job_id: len(one.ids) for one in closed}, now=now)
    await moves.apply(connection)
    return closed


async def cancel_messages(
    connection: AsyncConnection, jobs: dict[int, LockedJob], ids: Sequence[int], moves: Moves, now: datetime
) -> None:
    """Cancels open messages of the locked jobs, whose clients are gone; adds to `moves`."""
    at_ms = int(now.timestamp() * 1000)
    settlements = [
        Settlement(message_id, MessageStatus.CANCELED, Reason.CLIENT, at_ms, None) for message_id in ids
    ]
    settled = await settle(connection, settlements)
    for row in settled:
        moves.add(row.mailing_id, jobs[row.job_id].status_of_open, row.status, row.messages)
    await take_from_jobs(connection, {row.job_id: row.messages for row in settled}, now=now)


async def move_to_new_job(
    connection: AsyncConnection,
    mailing_id: int,
    zone: str | None,
    planned: Plan,
    ids: Sequence[int],
    *,
    counts: bool,
) -> None:
    """Puts open messages into a new planned job of their mailing. The caller has made sure that they are
    open, takes them from their old jobs and moves the counters. `counts`: as a try that has failed."""
    job = {"mailing_id": mailing_id, "zone": zone, "due_at": planned.due_at, "send_before": planned.send_before}
    new_id = (await connection.execute(_NEW_JOB, {**job, "size": len(ids)})).scalar_one()
    move = {"to": new_id, "ids": sorted(ids), "counts": int(counts)}
    moved = (await connection.execute(_MOVE, move)).scalar_one()
    assert moved == len(ids), f"{len(ids)} open messages to move, found {moved}"


async def take_from_jobs(
    connection: AsyncConnection, taken: dict[int, int], *, now: datetime, senders: dict[int, str] | None = None
) -> None:
    """`taken` messages of each job are no longer open in it; a job with none left is done. `senders` tells, by
    job, who reported on it."""
    if taken:
        ids, counts = zip(*sorted(taken.items()), strict=True)
        who = [(senders or {}).get(job_id) for job_id in ids]
        parameters = {"ids": list(ids), "counts": list(counts), "senders": who, "now": now}
        await connection.execute(_TAKE_FROM_JOBS, parameters)
