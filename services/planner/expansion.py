"""Expansion: when a mailing starts, turn its filter into messages and jobs, batch by batch of clients.

One transaction holds the mailing's row and writes a batch, its cursor and its counters. So a crash resumes where
the last batch ended, replicas take turns, and a cancel never misses a message. The audience is the clients that
exist at the start: `audience_until` is the highest id then.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.pacing import Limit
from services.planner.planning import plan_zones
from shared.database.transactions import after_commit, transaction
from shared.ledger.bulk_messages import (
    AudienceBatch,
    ExpandedBatch,
    audience_exceeds,
    expand_audiences,
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
from shared.ledger.mailings import submit_mailing
from shared.statuses import MailingState, MessageStatus
from shared.webhook_events import WebhookEvent
from shared.windows import Window
from shared.workspace_policy import NO_POLICY, WorkspacePolicy

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
    workspace: WorkspacePolicy = NO_POLICY,
) -> Progress | None:
    """Expand the mailing's next batch of clients; None if another planner does, or there is nothing left.

    `batch` is the number of clients, `chunk` the highest number of messages in a job.
    """
    sizes = BatchSizes(chunk, batch)
    progress = await expand_batches(engine, [mailing_id], sizes, now=now, observer=observer, workspace=workspace)
    return progress.get(mailing_id)


async def expand_batches(
    engine: AsyncEngine,
    mailing_ids: Sequence[int],
    sizes: BatchSizes,
    *,
    now: datetime,
    observer: PlannerObserver = DEFAULT_OBSERVER,
    workspace: WorkspacePolicy = NO_POLICY,
) -> dict[int, Progress]:
    """Expand the next batch of each mailing in one transaction, without those that another planner expands.

    A mailing that is too large for the workspace's policy, and that nobody has approved, waits instead.

    Many mailings may start at the same instant. One by one, most of the time went into a dozen round trips for
    each.
    """
    began_at = time.time()
    progress: dict[int, Progress] = {}
    async with transaction(engine) as connection:
        locked = await lock_mailings_to_expand(connection, mailing_ids, now)
        allowed = await _without_unapproved(connection, locked, workspace.approve_above, observer)
        mailings = [
            replace(mailing, window=workspace.local_hours(mailing.window, mailing.kind)) for mailing in allowed
        ]
        if not mailings:
            return {}
        starting = [mailing.id for mailing in mailings if mailing.started_at is None]
        untils = await start_mailings(connection, starting, now)
        await put_mailing_events(connection, WebhookEvent.MAILING_STARTED, starting)
        await prepare_expansion(connection)
        moves, parts = StatusMoves(), list[ExpandedPart]()
        batches = [
            _batch(mailing, untils.get(mailing.id, mailing.audience_until or 0), sizes) for mailing in mailings
        ]
        expanded = await _expand(connection, batches, {mailing.id: mailing.window for mailing in mailings}, now)
        for mailing in mailings:
            created = expanded[mailing.id]
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


async def _without_unapproved(
    connection: AsyncConnection,
    mailings: Sequence[MailingToExpand],
    approve_above: int | None,
    observer: PlannerObserver,
) -> list[MailingToExpand]:
    """Return the mailings that may go on. The audience of the others has grown beyond what needs no approval."""
    if approve_above is None:
        return list(mailings)
    allowed = []
    for mailing in mailings:
        is_checked = mailing.started_at is not None or mailing.is_approved
        if is_checked or not await audience_exceeds(connection, mailing.filter, approve_above):
            allowed.append(mailing)
            continue
        await submit_mailing(connection, mailing.id, MailingState.WAITING)
        after_commit(connection, partial(observer.mailing_held, mailing))
    return allowed


async def _expand(
    connection: AsyncConnection,
    batches: Sequence[AudienceBatch],
    windows: Mapping[int, Window | None],
    now: datetime,
) -> dict[int, ExpandedBatch]:
    """Expand all batches without a local window in one statement, and each of the others in its own."""
    together = [batch for batch in batches if not batch.by_zone]
    expanded = await expand_audiences(connection, together, plan_zones(None, [], now), now) if together else {}
    for batch in batches:
        if batch.by_zone:
            zones = await zones_of_audience(connection, batch)
            plans = plan_zones(windows[batch.mailing_id], zones, now)
            expanded |= await expand_audiences(connection, [batch], plans, now)
    return expanded


def _batch(mailing: MailingToExpand, until: int, sizes: BatchSizes) -> AudienceBatch:
    return AudienceBatch(
        mailing_id=mailing.id,
        filter=mailing.filter,
        after=mailing.expanded_to,
        until=until,
        limit=_limit(mailing, sizes),
        chunk=_chunk(mailing, sizes),
        by_zone=mailing.window is not None,
    )


def _limit(mailing: MailingToExpand, sizes: BatchSizes) -> int:
    if mailing.started_at is None:
        return min(sizes.batch, _chunk(mailing, sizes) * FIRST_BATCH_JOBS)
    return sizes.batch


def _chunk(mailing: MailingToExpand, sizes: BatchSizes) -> int:
    return sizes.chunk if mailing.rate is None else Limit(mailing.rate).chunk(sizes.chunk)
