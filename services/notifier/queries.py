"""Reads of the notifier, apart from those of reports and alerts."""

from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.alerts import AlertRow

_LAST_REPORTED = text("""
    -- find_last_reported_day --
    SELECT max(day) FROM mails WHERE recipient = :recipient AND day IS NOT NULL
""")


_ALERT = text("""
    -- find_alert --
    SELECT id, kind, subject, severity, facts, began_at, notified_at, ended_at FROM alerts WHERE id = :alert_id
""")


async def find_alert(connection: AsyncConnection, alert_id: int) -> AlertRow | None:
    """Return the alert; None if it was removed."""
    row = (await connection.execute(_ALERT, {"alert_id": alert_id})).one_or_none()
    return None if row is None else AlertRow(**row._mapping)


async def find_last_reported_day(connection: AsyncConnection, recipient: str) -> date | None:
    """Return the last day for which the recipient has a report, sent or not; None if there is none."""
    day: date | None = (await connection.execute(_LAST_REPORTED, {"recipient": recipient})).scalar_one()
    return day
