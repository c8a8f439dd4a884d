"""Retrying: when a user requests it, put failed, expired or uncertain messages into new jobs.

Only messages that are in one of the requested statuses, and were so at the time of the request, are put back. Sent
messages are never among them. Like the expansion, it goes batch by batch of clients, and one transaction writes a
batch and its cursor.
"""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.pacing import Limit
from services.planner.planning import plan_zones
from shared.database.transactions import transaction
from shared.ledger.bulk_messages import RetryBatch, put_back_messages, zones_to_retry
from shared.ledger.counters import StatusMoves
from shared.ledger.mailing_progress import lock_mailing_to_retry, record_retry
from shared.statuses import MailingState, MessageStatus


async def retry_batch(
    engine: AsyncEngine,
    mailing_id: int,
    *,
    chunk: int,
    batch: int,
    now: datetime,
    observer: PlannerObserver = DEFAULT_OBSERVER,
) -> int | None:
    """Put one batch of messages back and return their number; None if there is nothing left to do.

    `batch` is the number of messages, `chunk` the highest number of messages in a job.
    """
    async with transaction(engine) as connection:
        mailing = await lock_mailing_to_retry(connection, mailing_id)
        if mailing is None:
            return None
        if mailing.rate is not None:
            chunk = Limit(mailing.rate).chunk(chunk)
        to_retry = RetryBatch(
            mailing_id=mailing_id,
            statuses=mailing.statuses if mailing.state is MailingState.RUNNING else [],
            settled_until=mailing.settled_until,
            after=mailing.retried_to,
            limit=batch,
            by_zone=mailing.window is not None,
        )
        zones = await zones_to_retry(connection, to_retry) if to_retry.by_zone else []
        plans = plan_zones(mailing.window, zones, now)
        put_back = await put_back_messages(connection, to_retry, plans, chunk, now)
        count = sum(group.messages for group in put_back)
        retried_to = max((group.last_client_id for group in put_back), default=mailing.retried_to)
        await record_retry(connection, mailing_id, retried_to, is_complete=count < batch)
        moves = StatusMoves()
        for group in put_back:
            moves.add(mailing_id, group.status, MessageStatus.NEW, group.messages, group.reason)
        await moves.apply(connection)
    observer.messages_put_back(mailing, count)
    return count
