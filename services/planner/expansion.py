"""Expansion: when a mailing starts, turn its filter into messages and jobs, batch by batch of clients.

One transaction holds the mailing's row and writes a batch, its cursor and its counters. So a crash resumes where
the last batch ended, replicas take turns, and a cancel never misses a message. The audience is the clients that
exist at the start: `audience_until` is the highest id then.
"""

import time
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.pacing import Limit
from services.planner.planning import plan_zones
from shared.database.transactions import transaction
from shared.ledger.bulk_messages import AudienceBatch, expand_audience, zones_of_audience
from shared.ledger.counters import StatusMoves
from shared.ledger.mailing_progress import lock_mailing_to_expand, record_expansion, start_mailing
from shared.statuses import MessageStatus

# The first batch is small, so that the first message leaves at once.
FIRST_BATCH_JOBS = 4


class Progress(NamedTuple):
    """Result of one batch: the number of messages it created, and whether it was the mailing's last."""

    messages: int
    is_complete: bool


async def expand_batch(
    engine: AsyncEngine,
    mailing_id: int,
    *,
    chunk: int,
    batch: int,
    now: datetime,
    observer: PlannerObserver = DEFAULT_OBSERVER,
) -> Progress | None:
    """Expand the mailing's next batch of clients; None if another planner does, or there is nothing left.

    `batch` is the number of clients, `chunk` the highest number of messages in a job.
    """
    began_at = time.time()
    async with transaction(engine) as connection:
        mailing = await lock_mailing_to_expand(connection, mailing_id, now)
        if mailing is None:
            return None
        until = mailing.audience_until or 0
        if mailing.started_at is None:
            until = await start_mailing(connection, mailing_id, now)
            batch = min(batch, chunk * FIRST_BATCH_JOBS)
        if mailing.rate is not None:
            chunk = Limit(mailing.rate).chunk(chunk)
        audience = AudienceBatch(
            mailing_id=mailing_id,
            filter=mailing.filter,
            after=mailing.expanded_to,
            until=until,
            limit=batch,
            by_zone=mailing.window is not None,
        )
        zones = await zones_of_audience(connection, audience) if audience.by_zone else []
        plans = plan_zones(mailing.window, zones, now)
        created = await expand_audience(connection, audience, plans, chunk, now)
        progress = Progress(created.messages, is_complete=created.messages < batch)
        await record_expansion(
            connection, mailing_id, created.last_client_id, is_complete=progress.is_complete, now=now
        )
        moves = StatusMoves()
        moves.add(mailing_id, None, MessageStatus.NEW, created.messages)
        await moves.apply(connection)
    observer.batch_expanded(mailing, progress.messages, began_at)
    if progress.is_complete:
        observer.mailing_expanded(mailing)
    return progress
