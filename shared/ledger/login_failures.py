"""Every statement that writes the table `login_failures`."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access.login_delay import Failures

# The row is locked until the end of the transaction, so that logins of one account are checked one at a time.
_LOCK_FAILURES = text("""
    -- lock_login_failures --
    INSERT INTO login_failures (key, failures, last_at)
    SELECT key, 0, :now FROM unnest(CAST(:keys AS text[])) AS given(key) ORDER BY key
    ON CONFLICT (key) DO UPDATE SET failures = login_failures.failures
    RETURNING key, failures, last_at
""")

_ADD_FAILURE = text("""
    -- add_login_failure --
    UPDATE login_failures SET failures = failures + 1, last_at = :now WHERE key = ANY(CAST(:keys AS text[]))
""")

_FORGIVE_FAILURE = text("""
    -- forgive_login_failure --
    UPDATE login_failures SET failures = greatest(failures - 1, 0) WHERE key = ANY(CAST(:keys AS text[]))
""")

_CLEAR_FAILURES = text("""
    -- clear_login_failures --
    DELETE FROM login_failures WHERE key = ANY(CAST(:keys AS text[]))
""")

_DELETE_OLD_FAILURES = text("""
    -- delete_old_login_failures --
    DELETE FROM login_failures WHERE last_at < :before
""")


async def lock_failures(connection: AsyncConnection, keys: Sequence[str], now: datetime) -> dict[str, Failures]:
    """Return the failed logins of these accounts and addresses, locked until the end of the transaction."""
    rows = await connection.execute(_LOCK_FAILURES, {"keys": list(keys), "now": now})
    return {row.key: Failures(row.failures, row.last_at) for row in rows}


async def add_failure(connection: AsyncConnection, keys: Sequence[str], now: datetime) -> None:
    """Add a failed login."""
    await connection.execute(_ADD_FAILURE, {"keys": list(keys), "now": now})


async def forgive_failure(connection: AsyncConnection, keys: Sequence[str]) -> None:
    """Take back the failure that was counted for a login which then succeeded."""
    await connection.execute(_FORGIVE_FAILURE, {"keys": list(keys)})


async def clear_failures(connection: AsyncConnection, keys: Sequence[str]) -> None:
    """Forget the failed logins, after one that succeeded."""
    await connection.execute(_CLEAR_FAILURES, {"keys": list(keys)})


async def delete_old_failures(connection: AsyncConnection, before: datetime) -> None:
    """Forget failed logins that are older than the instant."""
    await connection.execute(_DELETE_OLD_FAILURES, {"before": before})
