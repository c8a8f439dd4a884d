"""Every statement that writes the table `attempts`, except for the removal of a whole mailing in `messages`."""

from collections.abc import Sequence
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
