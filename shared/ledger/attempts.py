"""Every statement that writes the table `attempts`, except for the removal of messages in `messages`."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT_ATTEMPTS = text("""
    -- insert_attempts --
    INSERT INTO attempts (message_id, at, sender, outcome, provider_status, provider_text, duration_ms)
    SELECT message_id, to_timestamp(at_ms / 1000.0), sender, outcome, status, left(answer, 200), duration_ms
    FROM unnest(
        CAST(:message_ids AS bigint[]), CAST(:ats_ms AS bigint[]), CAST(:senders AS text[]),
        CAST(:outcomes AS text[]), CAST(:statuses AS smallint[]), CAST(:texts AS text[]),
        CAST(:durations_ms AS integer[])
    ) AS given(message_id, at_ms, sender, outcome, status, answer, duration_ms)
    ON CONFLICT DO NOTHING
""")

# The attempts of a message that may still be sent stay: they say why it was not sent so far.
_DELETE_OLD_ATTEMPTS = text("""
    -- delete_old_attempts --
    WITH old AS MATERIALIZED (
        SELECT message_id, at FROM attempts
        WHERE (at, message_id) > (:after_at, :after_id) AND at < :before
          AND NOT EXISTS (SELECT FROM messages WHERE messages.id = message_id AND status = 'new')
        ORDER BY at, message_id LIMIT :limit
    ), removed AS (
        DELETE FROM attempts USING old WHERE attempts.message_id = old.message_id AND attempts.at = old.at
        RETURNING attempts.at, attempts.message_id
    )
    SELECT at, message_id, count(*) OVER () AS attempts FROM removed ORDER BY at DESC, message_id DESC LIMIT 1
""")


class AttemptKey(NamedTuple):
    """Place of an attempt in their order by time."""

    at: datetime
    message_id: int


NO_ATTEMPT = AttemptKey(datetime(1970, 1, 1, tzinfo=UTC), 0)  # before all attempts


class RemovedAttempts(NamedTuple):
    """Number of attempts that were removed, and the last of them."""

    attempts: int
    last: AttemptKey


class AttemptRow(NamedTuple):
    """One POST, or the reason why there was none. `at_ms` is in milliseconds since the Unix epoch."""

    message_id: int
    at_ms: int
    sender: str
    outcome: str
    provider_status: int | None
    provider_text: str | None
    duration_ms: int


async def insert_attempts(connection: AsyncConnection, rows: Sequence[AttemptRow]) -> None:
    """Insert the attempts. Rows that a repeated report brings again change nothing."""
    if rows:
        names = ("message_ids", "ats_ms", "senders", "outcomes", "statuses", "texts", "durations_ms")
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(_INSERT_ATTEMPTS, dict(zip(names, columns, strict=True)))


async def delete_old_attempts(
    connection: AsyncConnection, after: AttemptKey, before: datetime, limit: int
) -> RemovedAttempts:
    """Delete up to `limit` attempts made before the instant, in order of time, from behind `after` on."""
    parameters = {"after_at": after.at, "after_id": after.message_id, "before": before, "limit": limit}
    row = (await connection.execute(_DELETE_OLD_ATTEMPTS, parameters)).one_or_none()
    return (
        RemovedAttempts(0, after)
        if row is None
        else RemovedAttempts(row.attempts, AttemptKey(row.at, row.message_id))
    )
