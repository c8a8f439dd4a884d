"""Every statement that writes the table `progress`: when messages got their final status, in steps of seconds.

A row counts the messages of one mailing that got the same status for the same reason within one step. Single
messages are counted together, as mailing 0. Tests of a mailing are not counted. A message that is retried is
counted each time that it ends, and also as retried. So the difference of both sums is the number of messages that
have the status now. Old rows are folded into longer steps, so the table stays small.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.statuses import MessageStatus, Reason

STEP = timedelta(seconds=10)
# Steps of rows that are older than so long. A quarter of an hour divides the offset of every time zone in use, so
# the days of every zone can still be told apart.
FOLDED_STEPS = (
    (timedelta(days=2), timedelta(minutes=1)),
    (timedelta(days=40), timedelta(minutes=15)),
)
SINGLE_MESSAGES = 0  # stands for the mailings of single messages

_ADD_PROGRESS = text("""
    -- add_progress --
    INSERT INTO progress (mailing_id, at, status, reason, messages, retried)
    SELECT CASE WHEN express THEN 0 ELSE mailings.id END, date_bin(:step, now(), 'epoch'), status, reason,
        sum(messages), sum(retried)
    FROM unnest(
        CAST(:mailing_ids AS bigint[]), CAST(:statuses AS message_status[]), CAST(:reasons AS message_reason[]),
        CAST(:messages AS integer[]), CAST(:retried AS integer[])
    ) AS given(mailing_id, status, reason, messages, retried)
    JOIN mailings ON mailings.id = mailing_id AND test_of IS NULL
    GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
    ON CONFLICT (mailing_id, at, status, reason) DO UPDATE
    SET messages = progress.messages + excluded.messages, retried = progress.retried + excluded.retried
""")

# The row at the beginning of a longer step stays and takes in the others.
_FOLD_PROGRESS = text("""
    -- fold_progress --
    WITH removed AS (
        DELETE FROM progress WHERE (mailing_id, at, status, reason) IN (
            SELECT mailing_id, at, status, reason FROM progress
            WHERE at < :before AND at <> date_bin(:step, at, 'epoch')
            ORDER BY mailing_id, at, status, reason LIMIT :limit FOR UPDATE SKIP LOCKED
        ) RETURNING mailing_id, date_bin(:step, at, 'epoch') AS at, status, reason, messages, retried
    ), folded AS (
        INSERT INTO progress (mailing_id, at, status, reason, messages, retried)
        SELECT mailing_id, at, status, reason, sum(messages), sum(retried) FROM removed
        GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
        ON CONFLICT (mailing_id, at, status, reason) DO UPDATE
        SET messages = progress.messages + excluded.messages, retried = progress.retried + excluded.retried
    )
    SELECT count(*) FROM removed
""")

_DELETE_PROGRESS_OF_MAILING = text("""
    -- delete_progress_of_mailing --
    DELETE FROM progress WHERE mailing_id = :mailing_id
""")


class Ending(NamedTuple):
    """Final status of messages of one mailing, and the reason for it."""

    mailing_id: int
    status: MessageStatus
    reason: Reason | None


async def add_progress(
    connection: AsyncConnection, *, settled: Mapping[Ending, int], retried: Mapping[Ending, int]
) -> None:
    """Count messages that get or leave a final status in this transaction, which holds their counters."""
    endings = [*settled, *(ending for ending in retried if ending not in settled)]
    if not endings:
        return
    await connection.execute(
        _ADD_PROGRESS,
        {
            "step": STEP,
            "mailing_ids": [ending.mailing_id for ending in endings],
            "statuses": [ending.status.value for ending in endings],
            "reasons": ["none" if ending.reason is None else ending.reason.value for ending in endings],
            "messages": [settled.get(ending, 0) for ending in endings],
            "retried": [retried.get(ending, 0) for ending in endings],
        },
    )


async def fold_progress(connection: AsyncConnection, now: datetime, limit: int) -> int:
    """Fold up to `limit` old rows of each kind into longer steps; return the highest number of rows folded."""
    most = 0
    for age, step in FOLDED_STEPS:
        folded = await connection.execute(_FOLD_PROGRESS, {"before": now - age, "step": step, "limit": limit})
        most = max(most, folded.scalar_one())
    return most


async def delete_progress_of_mailing(connection: AsyncConnection, mailing_id: int) -> None:
    """Delete all rows of the mailing."""
    await connection.execute(_DELETE_PROGRESS_OF_MAILING, {"mailing_id": mailing_id})
