"""Removal of old rows, some thousands at a time."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.ledger.alerts import delete_old_alerts
from shared.ledger.deliveries import delete_old_deliveries
from shared.ledger.mails import delete_old_mails

POLL = 600.0  # seconds
MAX_ROWS = 10_000
MAILS_KEPT = timedelta(days=400)
ALERTS_KEPT = timedelta(days=400)
DELIVERIES_KEPT = timedelta(days=7)
OPEN_DELIVERIES_KEPT = timedelta(days=30)  # of webhooks that were switched off


async def forget(engine: AsyncEngine) -> float:
    """Remove old mails, deliveries and alerts; the next round follows at once while there are many."""
    now = utc_now()
    async with transaction(engine) as connection:
        removed = [
            await delete_old_mails(connection, now - MAILS_KEPT, MAX_ROWS),
            await delete_old_deliveries(connection, now - DELIVERIES_KEPT, now - OPEN_DELIVERIES_KEPT, MAX_ROWS),
            await delete_old_alerts(connection, now - ALERTS_KEPT, MAX_ROWS),
        ]
    return 0 if MAX_ROWS in removed else POLL
