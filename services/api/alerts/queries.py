"""Reads of alerts."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LIST_ALERTS = text("""
    -- list_alerts --
    SELECT id, kind, subject, severity, facts, began_at, notified_at, ended_at FROM alerts
    WHERE id < :before_id AND (NOT :only_open OR ended_at IS NULL) ORDER BY id DESC LIMIT :limit
""")


async def list_alerts(
    connection: AsyncConnection, *, only_open: bool, before_id: int, limit: int
) -> list[dict[str, object]]:
    """Return alerts, newest first."""
    parameters = {"only_open": only_open, "before_id": before_id, "limit": limit}
    return [dict(row) for row in (await connection.execute(_LIST_ALERTS, parameters)).mappings()]
