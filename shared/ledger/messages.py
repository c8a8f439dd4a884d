"""Statements that settle, move and remove rows of the table `messages`; `bulk_messages` creates them.

The functions run inside the caller's transaction, which has locked the jobs of the messages.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.engine import array_of
from shared.ledger.counters import StatusMoves
from shared.ledger.deliveries import SETTLED_IS_WANTED, SettledMessage, put_settled_messages
from shared.ledger.jobs import LockedJob, NewJob, create_job, remove_messages_from_jobs
from shared.statuses import MessageStatus, Reason

_SETTLE_MESSAGES = text(f"""
    -- settle_messages --
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:ids AS bigint[]), CAST(:statuses AS message_status[]), CAST(:reasons AS message_reason[]),
            CAST(:settled_ats_ms AS bigint[]), CAST(:durations_ms AS integer[])
        ) AS given(id, status, reason, settled_at_ms, duration_ms)
        ORDER BY id
    ), settled AS (
        UPDATE messages
        SET status = given.status, reason = coalesce(given.reason, 'none'), duration_ms = given.duration_ms,
            settled_at = to_timestamp(given.settled_at_ms / 1000.0)
        FROM given
        WHERE messages.id = given.id AND messages.status = 'new'
        RETURNING messages.id, mailing_id, client_id, job_id, messages.status, given.reason, tries
    )
    SELECT mailing_id, job_id, status, reason, count(*) AS messages,
        array_agg(id) FILTER (WHERE tries > 0) AS ids_tried_before,
        array_agg(id) FILTER (WHERE listed) AS ids, array_agg(client_id) FILTER (WHERE listed) AS client_ids,
        bool_or(is_wanted) AS is_wanted
    FROM settled, LATERAL (
        SELECT CAST(:list_sent AS boolean) OR status <> 'sent' OR is_wanted AS listed, is_wanted
        FROM (SELECT {SETTLED_IS_WANTED} AS is_wanted) AS webhooks
    ) AS listing
    GROUP BY mailing_id, job_id, status, reason
""")  # noqa: S608 - the part is ours

_SETTLE_JOBS = text(f"""
    -- settle_jobs --
    WITH settled AS (
        UPDATE messages
        SET status = CAST(:status AS message_status), reason = CAST(:reason AS message_reason), settled_at = :now
        WHERE job_id = ANY(CAST(:job_ids AS bigint[])) AND status = 'new'
          AND (NOT CAST(:only_doubtful AS boolean) OR (
              SELECT delivered IS TRUE OR messages.id <= begun_to FROM jobs WHERE jobs.id = job_id
          ))
        RETURNING id, client_id, mailing_id, job_id
    )
    SELECT mailing_id, job_id, array_agg(settled.id) AS ids, array_agg(client_id) AS client_ids, request_id,
        {SETTLED_IS_WANTED} AS is_wanted
    FROM settled LEFT JOIN mailings ON mailings.id = mailing_id GROUP BY mailing_id, job_id, request_id
""")  # noqa: S608 - the part is ours

_MOVE_MESSAGES = text("""
    -- move_messages --
    WITH moved AS (
        UPDATE messages SET job_id = :job_id, tries = least(tries + :tries, 32767)
        WHERE id = ANY(CAST(:ids AS bigint[])) AND status = 'new'
        RETURNING 1
    )
    SELECT count(*) FROM moved
""")

# No other transaction holds one of these rows and waits for this one: it would have had to lock the job first.
_CANCEL_MESSAGES_OF_CLIENT = text(f"""
    -- cancel_messages_of_client --
    UPDATE messages SET status = 'canceled', reason = 'client', settled_at = :now
    WHERE client_id = :client_id AND status = 'new' AND job_id = ANY(CAST(:job_ids AS bigint[]))
    RETURNING id, mailing_id, job_id, {SETTLED_IS_WANTED} AS is_wanted
""")  # noqa: S608 - the part is ours

# The attempts of a message are removed with it.
_PURGE_MESSAGES = text("""
    -- purge_messages --
    WITH removed AS (
        DELETE FROM messages
        WHERE id IN (SELECT id FROM messages WHERE mailing_id = :mailing_id ORDER BY client_id LIMIT :limit)
        RETURNING id
    ), removed_attempts AS (
        DELETE FROM attempts WHERE message_id IN (SELECT id FROM removed)
    )
    SELECT count(*) FROM removed
""")


class MessageSettlement(NamedTuple):
    """Final status of one message. `duration_ms` is that of the POST, if there was one."""

    message_id: int
    status: MessageStatus
    reason: Reason | None
    settled_at_ms: int  # since the Unix epoch
    duration_ms: int | None


class SettledMessages(NamedTuple):
    """Messages of one job that got the same final status in this transaction.

    `ids` and `client_ids` are in the same order. They are empty for sent messages, unless these were wanted.
    """

    mailing_id: int
    job_id: int
    status: MessageStatus
    reason: Reason | None
    messages: int
    ids_tried_before: list[int]  # those that an earlier delivery had failed to send
    ids: list[int]
    client_ids: list[int]


class SettledJob(NamedTuple):
    """Messages of one job that were settled without an attempt. `ids` and `client_ids` are in the same order."""

    mailing_id: int
    job_id: int
    ids: list[int]
    client_ids: list[int]
    request_id: str | None


async def settle_messages(
    connection: AsyncConnection, settlements: Sequence[MessageSettlement], *, list_sent: bool = False
) -> list[SettledMessages]:
    """Give messages their final status. A message that has one already keeps it and is not returned.

    The caller removes the messages from their jobs and moves the counters. `list_sent` returns the ids of sent
    messages, too.
    """
    if not settlements:
        return []
    names = ("ids", "statuses", "reasons", "settled_ats_ms", "durations_ms")
    columns = (array_of(column) for column in zip(*settlements, strict=True))
    parameters: dict[str, object] = dict(zip(names, columns, strict=True))
    rows = (await connection.execute(_SETTLE_MESSAGES, parameters | {"list_sent": list_sent})).all()
    settled = [
        SettledMessages(
            mailing_id=row.mailing_id,
            job_id=row.job_id,
            status=MessageStatus(row.status),
            reason=row.reason and Reason(row.reason),
            messages=row.messages,
            ids_tried_before=row.ids_tried_before or [],
            ids=row.ids or [],
            client_ids=row.client_ids or [],
        )
        for row in rows
    ]
    if rows and rows[0].is_wanted:
        await put_settled_messages(connection, chain.from_iterable(map(_events_of, settled)))
    return settled


async def settle_jobs(
    connection: AsyncConnection,
    jobs: Collection[LockedJob],
    status: MessageStatus,
    reason: Reason,
    now: datetime,
    *,
    only_doubtful: bool = False,
) -> list[SettledJob]:
    """Give every open message of the locked jobs the same final status; adapt jobs and counters.

    `only_doubtful` leaves those out whose POST has certainly not begun: RabbitMQ may not have taken the job, or
    has delivered it again, and no sender has noted that the message begins.
    """
    if not jobs:
        return []
    by_id = {job.id: job for job in jobs}
    ids = sorted(by_id)
    parameters = {"job_ids": ids, "status": status, "reason": reason, "now": now, "only_doubtful": only_doubtful}
    rows = (await connection.execute(_SETTLE_JOBS, parameters)).all()
    settled = [SettledJob(row.mailing_id, row.job_id, row.ids, row.client_ids, row.request_id) for row in rows]
    if rows and rows[0].is_wanted:
        await put_settled_messages(
            connection,
            (
                SettledMessage(job.mailing_id, message_id, client_id, status, reason)
                for job in settled
                for message_id, client_id in zip(job.ids, job.client_ids, strict=True)
            ),
        )
    moves = StatusMoves()
    for job in settled:
        moves.add(job.mailing_id, by_id[job.job_id].status_of_open, status, len(job.ids), reason)
    await remove_messages_from_jobs(connection, {job.job_id: len(job.ids) for job in settled}, now=now)
    await moves.apply(connection)
    return settled


async def cancel_messages(
    connection: AsyncConnection,
    jobs: Mapping[int, LockedJob],
    ids: Iterable[int],
    reason: Reason,
    moves: StatusMoves,
    now: datetime,
) -> None:
    """Cancel open messages of the locked jobs for the reason; add to `moves`."""
    now_ms = int(now.timestamp() * 1000)
    settlements = [
        MessageSettlement(message_id, MessageStatus.CANCELED, reason, now_ms, None) for message_id in ids
    ]
    settled = await settle_messages(connection, settlements)
    for row in settled:
        moves.add(row.mailing_id, jobs[row.job_id].status_of_open, row.status, row.messages, row.reason)
    await remove_messages_from_jobs(connection, {row.job_id: row.messages for row in settled}, now=now)


async def cancel_messages_of_client(
    connection: AsyncConnection, client_id: int, job_ids: Sequence[int], now: datetime
) -> None:
    """Cancel the open messages to the client in these locked planned jobs; adapt jobs and counters."""
    parameters = {"client_id": client_id, "job_ids": list(job_ids), "now": now}
    canceled = (await connection.execute(_CANCEL_MESSAGES_OF_CLIENT, parameters)).all()
    if canceled and canceled[0].is_wanted:
        await put_settled_messages(
            connection,
            (
                SettledMessage(row.mailing_id, row.id, client_id, MessageStatus.CANCELED, Reason.CLIENT)
                for row in canceled
            ),
        )
    moves = StatusMoves()
    for row in canceled:
        moves.add(row.mailing_id, MessageStatus.NEW, MessageStatus.CANCELED, 1, Reason.CLIENT)
    # A mailing has one message for a client, so each job loses one.
    await remove_messages_from_jobs(connection, {row.job_id: 1 for row in canceled}, now=now)
    await moves.apply(connection)


async def move_to_new_job(
    connection: AsyncConnection, job: NewJob, ids: Sequence[int], *, is_failed_try: bool
) -> None:
    """Move open messages into a new planned job of their mailing.

    The caller has checked that they are open, removes them from their old jobs and moves the counters.
    `is_failed_try` adds one to the number of tries, which makes the next wait longer.
    """
    job_id = await create_job(connection, job, len(ids))
    parameters = {"job_id": job_id, "ids": sorted(ids), "tries": int(is_failed_try)}
    moved = (await connection.execute(_MOVE_MESSAGES, parameters)).scalar_one()
    assert moved == len(ids), f"{len(ids)} open messages to move, found {moved}"


async def purge_messages(connection: AsyncConnection, mailing_id: int, limit: int) -> int:
    """Remove up to `limit` messages of the mailing with their attempts; return how many there were."""
    removed = await connection.execute(_PURGE_MESSAGES, {"mailing_id": mailing_id, "limit": limit})
    count: int = removed.scalar_one()
    return count


def _events_of(messages: SettledMessages) -> Iterator[SettledMessage]:
    for message_id, client_id in zip(messages.ids, messages.client_ids, strict=True):
        yield SettledMessage(messages.mailing_id, message_id, client_id, messages.status, messages.reason)
