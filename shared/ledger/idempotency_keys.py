"""Every statement that writes the table `idempotency_keys`."""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

KEY_LIFETIME = timedelta(hours=24)

_DELETE_OLD_KEYS = text("""
    -- delete_old_keys --
    DELETE FROM idempotency_keys WHERE key IN (
        SELECT key FROM idempotency_keys WHERE created_at < :created_before
        ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")


async def delete_old_keys(connection: AsyncConnection, created_before: datetime, limit: int) -> int:
    """Delete up to `limit` keys that were created before the instant; return how many there were."""
    return (
        await connection.execute(_DELETE_OLD_KEYS, {"created_before": created_before, "limit": limit})
    ).rowcount
