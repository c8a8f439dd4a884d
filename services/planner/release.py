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
from datetime import datetime
from enum import Enum, auto
from itertools import islice

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.claiming import claim
from services.planner.conditions import ReleaseConditions
from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.outcomes import due_after_return
from services.planner.pacing import LEAD, Demand, Limit, spread, timetable
from services.planner.release_queries import (
    ReadyMailing,
    find_ready_mailings,
    try_release_lock,
)
from services.planner.release_shares import ReleaseRound, find_shares
from services.planner.settings import PlannerSettings
from services.planner.sharing import share_rate
from shared.broker.publisher import Publisher
from shared.contracts import Job
from shared.database.transactions import after_commit, transaction
from shared.errors import NotPublished, PublishUnknown
from shared.ledger.epochs import begin_epoch, find_epoch
from shared.ledger.jobs import lock_jobs, mark_delivered, put_back_jobs
from shared.ledger.paces import PROVIDER, find_provider_pace, keep_paces
from shared.topology import JOBS

MAX_SINGLES_PER_ROUND = 100


async def release(
    engine: AsyncEngine,
    publisher: Publisher,
    settings: PlannerSettings,
    *,
    now: datetime,
    observer: PlannerObserver = DEFAULT_OBSERVER,
    conditions: ReleaseConditions | None = None,
) -> int | None:
    """Release due jobs up to the senders' free capacity; return how many were published.

    Return None if another planner has the lock of the release. `conditions` learn from the round.

    Raises:
        DatabaseUnavailable: nothing was published; jobs may be released until their lease ends.
    """
    this = ReleaseRound(settings, now, conditions or ReleaseConditions())
    async with transaction(engine) as connection:
        if not await try_release_lock(connection):
            return None
        provider = await _provider_limit(connection, settings.provider_rate)
        ready = await find_ready_mailings(connection, now, _max_singles(provider, now))
        if not ready:
            return 0
        epoch = await find_epoch(connection)
        if this.conditions.is_older(*epoch):
            await begin_epoch(connection, now, "the ledger is older than what was released")
            after_commit(connection, observer.ledger_restored)
            return 0
        this.conditions.epoch, this.conditions.newest_job = epoch
        limits = _mailing_limits(ready, provider, this.first_slot_at)
        shares = await find_shares(connection, ready, limits, this)
        revisions = {mailing.id: mailing.revision for mailing in ready}
        jobs = await claim(connection, shares, revisions, now + settings.lease, now, limits)
        jobs = await _give_slots(connection, jobs, ready, limits, provider, this)
    jobs = [job.model_copy(update={"epoch": epoch.number}) for job in jobs]
    if not settings.provider_idempotent:
        jobs = [job.model_copy(update={"must_note": True}) for job in jobs]
    if not jobs:
        return 0
    jobs, spans = observer.jobs_released(jobs, now)
    singles = {mailing.id for mailing in ready if mailing.is_single}
    routes = [_routing_key(job, job.mailing_id in singles, this.conditions.takes_slots) for job in jobs]
    publishing_began = this.seconds
    published = await asyncio.gather(
        *(_publish(publisher, job, route, observer) for job, route in zip(jobs, routes, strict=True))
    )
    this.conditions.round_ended(this.seconds, this.seconds - publishing_began, len(jobs))
    failed = [job for job, fate in zip(jobs, published, strict=True) if fate is _Fate.REFUSED]
    if failed:
        await put_back(engine, failed, now)
    if not settings.provider_idempotent:
        await _mark_delivered(engine, jobs, published)
    observer.jobs_published(jobs, failed, spans)
    observer.round_measured(this.conditions.delay)
    return len(jobs) - len(failed)


async def put_back(engine: AsyncEngine, jobs: Sequence[Job], now: datetime) -> None:
    """Make released jobs planned again, because no sender has them.

    A job whose lease ended meanwhile may be out in a later release; that one stays as it is.
    """
    releases = {job.job_id: job.release for job in jobs}
    async with transaction(engine) as connection:
        locked = await lock_jobs(connection, releases)
        current = [job for job in locked.values() if job.release == releases[job.id]]
        await put_back_jobs(connection, current, lambda job: due_after_return(job.returns + 1, now))


async def _mark_delivered(engine: AsyncEngine, jobs: Sequence[Job], fates: Sequence["_Fate"]) -> None:
    """Store which jobs RabbitMQ has: if nothing more is heard of one, its messages may have been POSTed."""
    releases = {job.job_id: job.release for job, fate in zip(jobs, fates, strict=True) if fate is _Fate.TAKEN}
    async with transaction(engine) as connection:
        await lock_jobs(connection, releases)
        await mark_delivered(connection, releases)


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


def _mailing_limits(ready: Iterable[ReadyMailing], provider: Limit | None, not_before: float) -> dict[int, Limit]:
    """Return the limit of each mailing: its own, or its part of the provider's if that is less."""
    rates = {mailing.id: mailing.rate for mailing in ready if not mailing.is_single}
    if provider is not None:
        rates |= share_rate(provider.rate, rates)
    next_slots = {mailing.id: max(mailing.next_slot_at or 0.0, not_before) for mailing in ready}
    return {mailing_id: Limit(rate, next_slots[mailing_id]) for mailing_id, rate in rates.items() if rate}


async def _give_slots(
    connection: AsyncConnection,
    jobs: Sequence[Job],
    ready: Sequence[ReadyMailing],
    limits: Mapping[int, Limit],
    provider: Limit | None,
    this: ReleaseRound,
) -> list[Job]:
    """Return the jobs with a slot for each message under a limit, and write down which slots are used up.

    Those with the first slots come first.
    """
    first_slot = this.first_slot_after(len(jobs))
    messages = Counter[int]()
    for job in jobs:
        messages[job.mailing_id] += len(job.messages)
    later = spread({key: limit for key, limit in limits.items() if messages[key]}, first_slot)
    demands = {
        mailing.id: Demand(messages[mailing.id], later.get(mailing.id), mailing.rank)
        for mailing in ready
        if mailing.id in messages
    }
    times = timetable(demands, provider, first_slot - LEAD)
    used = times.limits | ({PROVIDER: times.provider} if times.provider else {})
    if used:
        next_slots = {mailing_id: limit.next_slot_at for mailing_id, limit in used.items()}
        await keep_paces(connection, next_slots, times.provider.left_over if times.provider else None)
    slots = {mailing_id: iter(given) for mailing_id, given in times.slots.items()}
    provider_rate = None if provider is None else provider.rate
    lasts = {mailing.id: _slot_lasts(mailing.rate, provider_rate) for mailing in ready}
    jobs = [
        _with_slots(job, islice(slots[job.mailing_id], len(job.messages)), lasts[job.mailing_id])
        if job.mailing_id in slots
        else job
        for job in jobs
    ]
    return sorted(jobs, key=lambda job: job.slots_ms[0] if job.slots_ms else 0)


def _slot_lasts(*rates: float | None) -> float:
    return min((Limit(rate).slot_lasts for rate in rates if rate is not None), default=0.0)


def _with_slots(job: Job, slots: Iterable[float], lasts: float) -> Job:
    slots_ms = tuple(math.ceil(slot * 1000) for slot in slots)
    return job.model_copy(update={"slots_ms": slots_ms, "slot_lasts_ms": int(lasts * 1000)})


class _Fate(Enum):
    """Fate of a job that was published."""

    TAKEN = auto()
    UNKNOWN = auto()  # its lease decides
    REFUSED = auto()


def _routing_key(job: Job, is_single: bool, takes_slots: bool) -> str:
    if is_single:
        return "express"
    return "slot" if job.slots_ms is not None and takes_slots else "job"


async def _publish(publisher: Publisher, job: Job, routing_key: str, observer: PlannerObserver) -> _Fate:
    """Publish the job, and return what RabbitMQ did with it."""
    try:
        await publisher.publish(JOBS, routing_key, job.model_dump_json().encode())
    except NotPublished as error:
        observer.job_not_published(job, error)
        return _Fate.REFUSED
    except PublishUnknown as error:
        observer.job_publication_unconfirmed(job, error)
        return _Fate.UNKNOWN
    return _Fate.TAKEN
