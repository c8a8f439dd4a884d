"""Expansion: when a mailing starts, turn its filter into messages and jobs, batch by batch of clients.

One transaction holds the mailing's row and writes a batch, its cursor and its counters. So a crash resumes where
the last batch ended, replicas take turns, and a cancel never misses a message. The audience is the clients that
exist at the start: `audience_until` is the highest id then.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.pacing import Limit
from services.planner.planning import plan_zones
from shared.database.transactions import transaction
from shared.ledger.bulk_messages import (
    AudienceBatch,
    ExpandedBatch,
    expand_audience,
    prepare_expansion,
    zones_of_audience,
)
from shared.ledger.counters import StatusMoves
from shared.ledger.deliveries import put_mailing_events
from shared.ledger.mailing_progress import (
    ExpandedPart,
    MailingToExpand,
    lock_mailings_to_expand,
    record_expansions,
    start_mailings,
)
from shared.statuses import MessageStatus
from shared.webhook_events import WebhookEvent

# The first batch is small, so that the first message leaves at once.
FIRST_BATCH_JOBS = 4


class Progress(NamedTuple):
    """Result of one batch: the number of messages it created, and whether it was the mailing's last."""

    messages: int
    is_complete: bool


class BatchSizes(NamedTuple):
    """Highest number of messages in a job, and of clients in a batch."""

    chunk: int
    batch: int


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
    sizes = BatchSizes(chunk, batch)
    progress = await expand_batches(engine, [mailing_id], sizes, now=now, observer=observer)
    return progress.get(mailing_id)


async def expand_batches(
    engine: AsyncEngine,
    mailing_ids: Sequence[int],
    sizes: BatchSizes,
    *,
    now: datetime,
    observer: PlannerObserver = DEFAULT_OBSERVER,
) -> dict[int, Progress]:
    """Expand the next batch of each mailing in one transaction, without those that another planner expands.

    Many mailings may start at the same instant. One by one, most of the time went into a dozen round trips for
    each.
    """
    began_at = time.time()
    progress: dict[int, Progress] = {}
    async with transaction(engine) as connection:
        mailings = await lock_mailings_to_expand(connection, mailing_ids, now)
        if not mailings:
            return {}
        starting = [mailing.id for mailing in mailings if mailing.started_at is None]
        untils = await start_mailings(connection, starting, now)
        await put_mailing_events(connection, WebhookEvent.MAILING_STARTED, starting)
        await prepare_expansion(connection)
        moves, parts = StatusMoves(), list[ExpandedPart]()
        for mailing in mailings:
            until = untils.get(mailing.id, mailing.audience_until or 0)
            created = await _expand(connection, mailing, until, sizes, now)
            is_complete = created.messages < _limit(mailing, sizes)
            parts.append(ExpandedPart(mailing.id, created.last_client_id, is_complete))
            progress[mailing.id] = Progress(created.messages, is_complete)
            moves.add(mailing.id, None, MessageStatus.NEW, created.messages)
        await record_expansions(connection, parts, now)
        await moves.apply(connection)
    for mailing in mailings:
        observer.batch_expanded(mailing, progress[mailing.id].messages, began_at)
        if progress[mailing.id].is_complete:
            observer.mailing_expanded(mailing)
    return progress


async def _expand(
    connection: AsyncConnection, mailing: MailingToExpand, until: int, sizes: BatchSizes, now: datetime
) -> ExpandedBatch:
    chunk = sizes.chunk if mailing.rate is None else Limit(mailing.rate).chunk(sizes.chunk)
    audience = AudienceBatch(
        mailing_id=mailing.id,
        filter=mailing.filter,
        after=mailing.expanded_to,
        until=until,
        limit=_limit(mailing, sizes),
        by_zone=mailing.window is not None,
    )
    zones = await zones_of_audience(connection, audience) if audience.by_zone else []
    plans = plan_zones(mailing.window, zones, now)
    return await expand_audience(connection, audience, plans, chunk, now)


def _limit(mailing: MailingToExpand, sizes: BatchSizes) -> int:
    if mailing.started_at is None:
        return min(sizes.batch, sizes.chunk * FIRST_BATCH_JOBS)
    return sizes.batch
