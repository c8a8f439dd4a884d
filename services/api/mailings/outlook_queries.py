"""Reads behind the outlook of a mailing: how fast it is, and for which zones messages are left."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Only messages that senders have handled say something of the speed.
_HANDLED = text("""
    -- handled_messages --
    WITH steps AS (
        SELECT at, sum(messages) AS messages FROM progress
        WHERE mailing_id = :id AND at >= :compared_since AND status IN ('sent', 'failed', 'uncertain')
        GROUP BY at
    )
    SELECT coalesce(sum(messages) FILTER (WHERE at >= :since), 0)::bigint AS recent,
        coalesce(max(messages), 0)::bigint AS most
    FROM steps
""")

# A job of a mailing with a window has the zone of all its messages.
_OPEN_BY_ZONE = text("""
    -- open_messages_by_zone --
    SELECT coalesce(zone, '') AS zone, sum(open)::bigint AS messages FROM jobs
    WHERE mailing_id = :id AND (state = 'planned' OR state = 'released') GROUP BY 1
""")


class Handled(NamedTuple):
    """Messages that were handled since an instant, and the most in any step of progress that was compared."""

    recent: int
    most: int


async def count_handled(
    connection: AsyncConnection, mailing_id: int, *, since: datetime, compared_since: datetime
) -> Handled:
    """Return how many messages of the mailing were handled in the steps since then."""
    parameters = {"id": mailing_id, "since": since, "compared_since": compared_since}
    row = (await connection.execute(_HANDLED, parameters)).one()
    return Handled(row.recent, row.most)


async def count_open_by_zone(connection: AsyncConnection, mailing_id: int) -> Mapping[str, int]:
    """Return the mailing's messages without a final status by time zone."""
    rows = await connection.execute(_OPEN_BY_ZONE, {"id": mailing_id})
    return {row.zone: row.messages for row in rows}
