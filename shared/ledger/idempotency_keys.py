"""Every statement on the table `idempotency_keys`."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KEY_LIFETIME = timedelta(hours=24)

_LOCKS = 0x6B657973  # the class of these locks among PostgreSQL's advisory locks

_TRY_LOCK_KEY = text("""
    -- try_lock_key --
    SELECT pg_try_advisory_xact_lock(hashtextextended(:key, :locks))
""")

_FIND_ANSWER = text("""
    -- find_answer --
    SELECT request, answer FROM idempotency_keys
    WHERE key = :key AND created_at > now() - CAST(:lifetime AS interval)
""")

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


class StoredAnswer(NamedTuple):
    """An answer, and the digest of the request that got it."""

    request: bytes
    answer: bytes


async def try_lock_key(connection: AsyncConnection, key: str) -> bool:
    """Lock a key until the end of the transaction; return False if another transaction holds it."""
    locked = await connection.execute(_TRY_LOCK_KEY, {"key": key, "locks": _LOCKS})
    return bool(locked.scalar_one())


async def find_answer(connection: AsyncConnection, key: str) -> StoredAnswer | None:
    """Return the answer that was stored for the key within KEY_LIFETIME."""
    found = await connection.execute(_FIND_ANSWER, {"key": key, "lifetime": KEY_LIFETIME})
    row = found.one_or_none()
    return None if row is None else StoredAnswer(bytes(row.request), bytes(row.answer))


async def store_answer(connection: AsyncConnection, key: str, request: bytes, answer: bytes) -> None:
    """Store the answer to a request, for callers that repeat it. `request` is a digest of its path and body."""
    await connection.execute(_STORE_ANSWER, {"key": key, "request": request, "answer": answer})


async def delete_old_keys(connection: AsyncConnection, created_before: datetime, limit: int) -> int:
    """Delete up to `limit` keys that were created before the instant; return how many there were."""
    return (
        await connection.execute(_DELETE_OLD_KEYS, {"created_before": created_before, "limit": limit})
    ).rowcount
