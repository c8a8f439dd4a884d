"""Reads of the notifier, apart from those of reports and alerts."""

from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LAST_REPORTED = text("""
    -- find_last_reported_day --
    SELECT max(day) FROM mails WHERE recipient = :recipient AND day IS NOT NULL
""")


async def find_last_reported_day(connection: AsyncConnection, recipient: str) -> date | None:
    """Return the last day for which the recipient has a report, sent or not; None if there is none."""
    day: date | None = (await connection.execute(_LAST_REPORTED, {"recipient": recipient})).scalar_one()
    return day
