"""Every statement that writes the table `spent_nonces`."""

import hashlib
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_SPEND_NONCE = text("""
    -- spend_nonce --
    INSERT INTO spent_nonces (digest, spent_at) VALUES (:digest, :now) ON CONFLICT DO NOTHING RETURNING digest
""")

_DELETE_OLD_NONCES = text("""
    -- delete_old_nonces --
    DELETE FROM spent_nonces WHERE spent_at < :before
""")


async def spend_nonce(connection: AsyncConnection, nonce: str, now: datetime) -> bool:
    """Use the nonce up; False if somebody has used it before."""
    parameters = {"digest": hashlib.sha256(nonce.encode()).digest(), "now": now}
    return (await connection.execute(_SPEND_NONCE, parameters)).one_or_none() is not None


async def delete_old_nonces(connection: AsyncConnection, before: datetime) -> None:
    """Forget nonces that were used before the instant."""
    await connection.execute(_DELETE_OLD_NONCES, {"before": before})
