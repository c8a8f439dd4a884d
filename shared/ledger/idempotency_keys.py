"""Every statement that writes the table `idempotency_keys`."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KEY_LIFETIME = timedelta(hours=24)

# A key that is there already is older than KEY_LIFETIME, and is used anew.
_STORE_ANSWER = text("""
    -- store_answer --
    INSERT INTO idempotency_keys (key, request, answer) VALUES (:key, :request, :answer)
    ON CONFLICT (key) DO UPDATE SET
        request = excluded.request, answer = excluded.answer, created_at = excluded.created_at
""")

_DELETE_OLD_KEYS = text("""
    -- delete_old_keys --
    DELETE FROM idempotency_keys WHERE key IN (
        SELECT key FROM idempotency_keys WHERE created_at < :created_before
        ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")


async def store_answer(connection: AsyncConnection, key: str, request: bytes, answer: bytes) -> None:
    """Store the answer to a request, for callers that repeat it. `request` is a digest of its path and body."""
    await connection.execute(_STORE_ANSWER, {"key": key, "request": request, "answer": answer})


async def delete_old_keys(connection: AsyncConnection, created_before: datetime, limit: int) -> int:
    """Delete up to `limit` keys that were created before the instant; return how many there were."""
    return (
        await connection.execute(_DELETE_OLD_KEYS, {"created_before": created_before, "limit": limit})
    ).rowcount
