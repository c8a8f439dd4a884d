"""Release: hand due jobs to the senders, a bounded amount ahead of them, and every running mailing in turn.

The bound, about two seconds of work, makes pause, cancel and fairness possible, and keeps the broker small. The
ledger shows how much two seconds of work is: the messages that were done in the last two. So nothing is remembered
between rounds, and any planner can carry out any of them. An advisory lock allows one at a time.

Jobs are marked `released` first and published after the commit. If a publication certainly failed, its job is
planned again at once. If its end is unknown, the job waits for the end of its lease.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.claiming import claim
from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.pacing import Demand, Limit, timetable
from services.planner.release_queries import (
    ReadyMailing,
    count_done_since,
    find_outstanding,
    find_ready_mailings,
    try_release_lock,
)
from services.planner.settings import PlannerSettings
from services.planner.sharing import share_out, share_rate
from shared.broker.publisher import Publisher
from shared.contracts import Job
from shared.database.transactions import transaction
from shared.errors import NotPublished, PublishUnknown
from shared.ledger.jobs import lock_jobs, put_back_jobs
from shared.ledger.paces import PROVIDER, find_provider_pace, keep_paces
from shared.topology import JOBS

# A round is short, so that single messages need not wait long for the next one.
MAX_JOBS_PER_ROUND = 25
MAX_SINGLES_PER_ROUND = 100
# A job that was released longer ago may be lost until its lease is over. So it keeps no other job back.
COUNTS_FOR = timedelta(seconds=10)


async def release(
    engine: AsyncEngine,
    publisher: Publisher,
    settings: PlannerSettings,
    *,
    now: datetime,
    observer: PlannerObserver = DEFAULT_OBSERVER,
) -> int:
    """Release due jobs up to the senders' free capacity; return how many were published.

    Raises:
        DatabaseUnavailable: nothing was published; jobs may be released until their lease ends.
    """
    async with transaction(engine) as connection:
        if not await try_release_lock(connection):
            return 0
        provider = await _provider_limit(connection, settings.provider_rate)
        ready = await find_ready_mailings(connection, now, _max_singles(provider, now))
        if not ready:
            return 0
        limits = _mailing_limits(ready, provider)
        shares = await _shares(connection, ready, limits, settings, now)
        revisions = {mailing.id: mailing.revision for mailing in ready}
        jobs = await claim(connection, shares, revisions, now + settings.lease, now, limits)
        jobs = await _give_slots(connection, jobs, ready, limits, provider, now)
    if not jobs:
        return 0
    jobs, spans = observer.jobs_released(jobs, now)
    singles = {mailing.id for mailing in ready if mailing.is_single}
    published = await asyncio.gather(
        *(_publish(publisher, job, job.mailing_id in singles, observer) for job in jobs)
    )
    failed = [job for job, is_published in zip(jobs, published, strict=True) if not is_published]
    if failed:
        await put_back(engine, failed)
    observer.jobs_published(jobs, failed, spans)
    return len(jobs) - len(failed)


async def put_back(engine: AsyncEngine, jobs: Sequence[Job]) -> None:
    """Make released jobs planned again, because no sender has them.

    A job whose lease ended meanwhile may be out in a later release; that one stays as it is.
    """
    releases = {job.job_id: job.release for job in jobs}
    async with transaction(engine) as connection:
        locked = await lock_jobs(connection, releases)
        await put_back_jobs(connection, (job for job in locked.values() if job.release == releases[job.id]))


def _max_singles(provider: Limit | None, now: datetime) -> int:
    """Return how many single messages a round may release: under the provider's limit, as many as it has slots."""
    if provider is None:
        return MAX_SINGLES_PER_ROUND
    return min(MAX_SINGLES_PER_ROUND, provider.budget(now.timestamp()))


async def _provider_limit(connection: AsyncConnection, rate: float | None) -> Limit | None:
    if rate is None:
        return None
    pace = await find_provider_pace(connection)
    return Limit(rate) if pace is None else Limit(rate, pace.next_slot_at, pace.left_over)


def _mailing_limits(ready: Iterable[ReadyMailing], provider: Limit | None) -> dict[int, Limit]:
    """Return the limit of each mailing: its own, or its part of the provider's if that is less."""
    rates = {mailing.id: mailing.rate for mailing in ready if not mailing.is_single}
    if provider is not None:
        rates |= share_rate(provider.rate, rates)
    next_slots = {mailing.id: mailing.next_slot_at or 0.0 for mailing in ready}
    return {mailing_id: Limit(rate, next_slots[mailing_id]) for mailing_id, rate in rates.items() if rate}


async def _shares(
    connection: AsyncConnection,
    ready: Sequence[ReadyMailing],
    limits: Mapping[int, Limit],
    settings: PlannerSettings,
    now: datetime,
) -> dict[int, int]:
    """Return how many messages of each mailing may be released now.

    Under a limit, these are as many as there are free slots, as long as no more than some seconds' worth are out.
    Without one, they share the senders' free capacity. Single messages always may.
    """
    outstanding = await find_outstanding(connection, now + settings.lease - COUNTS_FOR)
    opens = Counter({mailing_id: messages.open for mailing_id, messages in outstanding.items()})
    recents = Counter({mailing_id: messages.recent for mailing_id, messages in outstanding.items()})
    shares = {mailing.id: 1 for mailing in ready if mailing.is_single}
    for mailing_id, limit in limits.items():
        room = math.ceil(limit.rate * settings.release_ahead.total_seconds()) - opens[mailing_id]
        shares[mailing_id] = min(limit.budget(now.timestamp()), room)
    unlimited = {
        mailing.id: recents[mailing.id] for mailing in ready if not mailing.is_single and mailing.id not in limits
    }
    if unlimited:
        done = await count_done_since(connection, now - settings.release_ahead)
        least = settings.release_least * settings.chunk_size
        room = max(done + least - opens.total(), least - recents.total())
        shares |= share_out(min(room, MAX_JOBS_PER_ROUND * settings.chunk_size), unlimited)
    return shares


async def _give_slots(
    connection: AsyncConnection,
    jobs: Sequence[Job],
    ready: Sequence[ReadyMailing],
    limits: Mapping[int, Limit],
    provider: Limit | None,
    now: datetime,
) -> list[Job]:
    """Return the jobs with a slot for each message under a limit, and write down which slots are used up."""
    messages = Counter[int]()
    for job in jobs:
        messages[job.mailing_id] += len(job.messages)
    demands = {
        mailing.id: Demand(messages[mailing.id], limits.get(mailing.id), mailing.rank)
        for mailing in ready
        if mailing.id in messages
    }
    times = timetable(demands, provider, now.timestamp())
    used = times.limits | ({PROVIDER: times.provider} if times.provider else {})
    if used:
        next_slots = {mailing_id: limit.next_slot_at for mailing_id, limit in used.items()}
        await keep_paces(connection, next_slots, times.provider.left_over if times.provider else None)
    slots = {mailing_id: iter(given) for mailing_id, given in times.slots.items()}
    provider_rate = None if provider is None else provider.rate
    lasts = {mailing.id: _slot_lasts(mailing.rate, provider_rate) for mailing in ready}
    return [
        _with_slots(job, islice(slots[job.mailing_id], len(job.messages)), lasts[job.mailing_id])
        if job.mailing_id in slots
        else job
        for job in jobs
    ]


def _slot_lasts(*rates: float | None) -> float:
    return min((Limit(rate).slot_lasts for rate in rates if rate is not None), default=0.0)


def _with_slots(job: Job, slots: Iterable[float], lasts: float) -> Job:
    slots_ms = tuple(math.ceil(slot * 1000) for slot in slots)
    return job.model_copy(update={"slots_ms": slots_ms, "slot_lasts_ms": int(lasts * 1000)})


async def _publish(publisher: Publisher, job: Job, is_single: bool, observer: PlannerObserver) -> bool:
    """Publish the job; False if RabbitMQ certainly did not take it. If that is unknown, its lease decides."""
    try:
        await publisher.publish(JOBS, "express" if is_single else "job", job.model_dump_json().encode())
    except NotPublished as error:
        observer.job_not_published(job, error)
        return False
    except PublishUnknown as error:
        observer.job_publication_unconfirmed(job, error)
    return True
