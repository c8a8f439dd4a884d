"""Release: due jobs go out to the senders, a bounded amount ahead of them, every running mailing in turn.

The bound (about two seconds of work) is what makes pause, cancel and fairness work, and keeps the broker small.
How much two seconds are is read off the ledger: what was done in the last two. So nothing need be remembered,
and any planner can take any turn; an advisory lock sees to it that there is one at a time.

Jobs are stamped `released` first and published after the commit. A publication that is known to have failed
puts its job back at once; one whose end is unknown waits for the end of its lease.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.claiming import claim
from services.planner.ledger import LockedJob, lock_jobs
from services.planner.metrics import JOBS_RELEASED, MESSAGES_RELEASED, RELEASE_FAILED, SLOTS
from services.planner.pacing import Demand, Limit, Rank, timetable
from services.planner.settings import PlannerSettings
from services.planner.sharing import share_out, share_rate
from services.planner.spans import end_release_spans, start_release_spans
from shared.broker.publisher import Publisher
from shared.contracts import Job
from shared.database.transactions import transaction
from shared.errors import NotPublished, PublishUnknown
from shared.ledger.counters import Moves
from shared.statuses import JobState, MessageStatus
from shared.telemetry.log import MessageSample
from shared.topology import JOBS

log = structlog.get_logger()

RELEASE_LOCK = 7_400_002  # the key of the advisory lock
# A turn is short, so that what is sent on its own does not wait for long until the next.
JOBS_IN_A_TURN = 25
SINGLES_IN_A_TURN = 100
# A job that went out longer ago keeps no other from going out: it may be lost, until its lease is over.
COUNTS_FOR = timedelta(seconds=10)
PROVIDER = 0  # in the table `paces`

_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:key)")

# `fresh` are those that went out lately, as their leases tell.
_OUTSTANDING = text("""
    SELECT mailing_id, sum(open) AS open, coalesce(sum(open) FILTER (WHERE lease_until > :fresh), 0) AS fresh
    FROM jobs WHERE state = 'released' GROUP BY mailing_id
""")

_DONE_LATELY = text("SELECT coalesce(sum(size), 0) FROM jobs WHERE state = 'done' AND done_at > :since")

_READY_IF = """
    SELECT id, express, rate, revision, taken_until FROM mailings LEFT JOIN paces ON paces.mailing_id = mailings.id
    WHERE {condition} AND state = 'running' AND finished_at IS NULL AND paused_at IS NULL
      AND starts_at <= :now AND expired_at > :now
      AND EXISTS (
          SELECT FROM jobs WHERE jobs.mailing_id = mailings.id AND state = 'planned' AND due_at <= :now
      )
    ORDER BY id
"""
_READY = text(_READY_IF.format(condition="NOT express"))
_READY_SINGLES = text(_READY_IF.format(condition="express") + "LIMIT :most")

_PROVIDER_PACE = text(f"SELECT taken_until, left_over FROM paces WHERE mailing_id = {PROVIDER}")  # noqa: S608 - a constant

_KEEP_PACES = text("""
    INSERT INTO paces (mailing_id, taken_until, left_over)
    SELECT id, until, CASE WHEN id = :provider THEN CAST(:left_over AS double precision[]) END
    FROM unnest(CAST(:ids AS bigint[]), CAST(:untils AS double precision[])) AS given(id, until)
    ON CONFLICT (mailing_id) DO UPDATE SET taken_until = excluded.taken_until, left_over = excluded.left_over
""")

_PUT_BACK = text("UPDATE jobs SET state = 'planned', lease_until = NULL WHERE id = ANY(CAST(:ids AS bigint[]))")


class Ready(NamedTuple):
    """A mailing with jobs that are due."""

    id: int
    express: bool
    rate: float | None
    revision: int
    taken_until: float | None

    @property
    def rank(self) -> Rank:
        if self.express:
            return Rank.URGENT
        return Rank.SHARED if self.rate is None else Rank.LIMITED


async def release(engine: AsyncEngine, publisher: Publisher, settings: PlannerSettings, *, now: datetime) -> int:
    """Releases what there is room for; returns how many jobs went out. Raises DatabaseUnavailable."""
    async with transaction(engine) as connection:
        if not (await connection.execute(_TRY_LOCK, {"key": RELEASE_LOCK})).scalar():
            return 0
        provider = await _provider_limit(connection, settings.provider_rate)
        ready = await _ready(connection, provider, now)
        if not ready:
            return 0
        limits = _limits(ready, provider)
        shares = await _shares(connection, ready, limits, settings, now)
        revisions = {one.id: one.revision for one in ready}
        jobs = await claim(connection, shares, revisions, now + settings.lease, now, limits)
        jobs = await _give_slots(connection, jobs, ready, limits, provider, now)
    if not jobs:
        return 0
    jobs, spans = start_release_spans(jobs, now)
    sample = settings.message_sample()
    if sample.is_active:
        for job in jobs:
            _tell(job, sample)
    express = {one.id for one in ready if one.express}
    published = await asyncio.gather(*(_publish(publisher, job, job.mailing_id in express) for job in jobs))
    failed = [job for job, taken in zip(jobs, published, strict=True) if not taken]
    _count(jobs, failed)
    if failed:
        await put_back(engine, failed)
    end_release_spans(spans, failed)
    log.debug("jobs_released", jobs=len(jobs) - len(failed), put_back=len(failed))
    return len(jobs) - len(failed)


def _count(jobs: Sequence[Job], failed: Sequence[Job]) -> None:
    JOBS_RELEASED.inc(len(jobs) - len(failed))
    MESSAGES_RELEASED.inc(sum(len(job.messages) for job in jobs) - sum(len(job.messages) for job in failed))
    RELEASE_FAILED.inc(len(failed))
    SLOTS.inc(sum(len(job.slots_ms or ()) for job in jobs))


async def _ready(connection: AsyncConnection, provider: Limit | None, now: datetime) -> list[Ready]:
    """What is sent on its own first; under the provider's limit, no more of it than there are slots now."""
    singles = SINGLES_IN_A_TURN if provider is None else min(SINGLES_IN_A_TURN, provider.budget(now.timestamp()))
    rows = (await connection.execute(_READY_SINGLES, {"now": now, "most": singles})).all()
    return [Ready(*row) for row in (*rows, *await connection.execute(_READY, {"now": now}))]


def _limits(ready: list[Ready], provider: Limit | None) -> dict[int, Limit]:
    """The limits of the mailings: their own, or their part of the provider's if that is less."""
    rates = {one.id: one.rate for one in ready if not one.express}
    if provider is not None:
        rates |= share_rate(provider.rate, rates)
    taken_until = {one.id: one.taken_until or 0.0 for one in ready}
    return {mailing_id: Limit(rate, taken_until[mailing_id]) for mailing_id, rate in rates.items() if rate}


async def _provider_limit(connection: AsyncConnection, rate: float | None) -> Limit | None:
    if rate is None:
        return None
    pace = (await connection.execute(_PROVIDER_PACE)).one_or_none()
    return Limit(rate) if pace is None else Limit(rate, pace.taken_until, tuple(pace.left_over or ()))


async def _shares(
    connection: AsyncConnection,
    ready: list[Ready],
    limits: Mapping[int, Limit],
    settings: PlannerSettings,
    now: datetime,
) -> dict[int, int]:
    """How many messages of each mailing may go out now.

    Under a limit these are as many as there are slots to be given away, while no more than some seconds' worth are
    out; else as many as the senders have room for. What is sent on its own always may.
    """
    rows = (await connection.execute(_OUTSTANDING, {"fresh": now + settings.lease - COUNTS_FOR})).all()
    outstanding = {row.mailing_id: int(row.open) for row in rows}
    fresh = {row.mailing_id: int(row.fresh) for row in rows}
    ahead = settings.release_ahead.total_seconds()
    shares = {one.id: 1 for one in ready if one.express}
    for mailing_id, limit in limits.items():
        room = math.ceil(limit.rate * ahead) - outstanding.get(mailing_id, 0)
        shares[mailing_id] = min(limit.budget(now.timestamp()), room)
    unlimited = {one.id: fresh.get(one.id, 0) for one in ready if not one.express and one.id not in limits}
    if unlimited:
        since = now - settings.release_ahead
        done: int = (await connection.execute(_DONE_LATELY, {"since": since})).scalar_one()
        least = settings.release_least * settings.chunk_size
        room = max(done + least - sum(outstanding.values()), least - sum(fresh.values()))
        shares |= share_out(min(room, JOBS_IN_A_TURN * settings.chunk_size), unlimited)
    return shares


async def _give_slots(
    connection: AsyncConnection,
    jobs: list[Job],
    ready: list[Ready],
    limits: Mapping[int, Limit],
    provider: Limit | None,
    now: datetime,
) -> list[Job]:
    """The same jobs, with a slot for each message that is under a limit; notes which slots are taken."""
    messages: dict[int, int] = defaultdict(int)
    for job in jobs:
        messages[job.mailing_id] += len(job.messages)
    demands = {
        one.id: Demand(messages[one.id], limits.get(one.id), one.rank) for one in ready if one.id in messages
    }
    times = timetable(demands, provider, now.timestamp())
    taken = times.limits | ({PROVIDER: times.provider} if times.provider else {})
    if taken:
        parameters = {
            "ids": list(taken),
            "untils": [limit.free_from for limit in taken.values()],
            "provider": PROVIDER,
            "left_over": list(times.provider.left_over) if times.provider else None,
        }
        await connection.execute(_KEEP_PACES, parameters)
    slots = {mailing_id: iter(given) for mailing_id, given in times.slots.items()}
    lasts = {one.id: _slot_lasts(one.rate, provider.rate if provider else None) for one in ready}
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


async def _publish(publisher: Publisher, job: Job, express: bool) -> bool:
    """Whether the job is on its way, or may be: then its lease decides."""
    ids = {"mailing_id": job.mailing_id, "job_id": job.job_id, "request_id": job.request_id}
    try:
        await publisher.publish(JOBS, "express" if express else "job", job.model_dump_json().encode())
    except NotPublished as error:
        log.warning("job_not_published", **ids, error=str(error))
        return False
    except PublishUnknown as error:
        log.warning("job_publish_unknown", **ids, error=str(error))
    return True


def _tell(job: Job, sample: MessageSample) -> None:
    if fields := sample.fields([message.id for message in job.messages], job.client_ids or ()):
        ids = {"mailing_id": job.mailing_id, "job_id": job.job_id, "request_id": job.request_id}
        sample.log("job_released", **ids, release=job.release, **fields)


async def put_back(engine: AsyncEngine, jobs: Sequence[Job]) -> None:
    """Makes released jobs planned again: nobody has them. One whose lease ran out before we came to this may be
    out in another release, which is somebody's."""
    releases = {job.job_id: job.release for job in jobs}
    async with transaction(engine) as connection:
        locked = await lock_jobs(connection, releases)
        ours = {job.id: job for job in locked.values() if job.release == releases[job.id]}
        await put_back_locked(connection, ours)


async def put_back_locked(connection: AsyncConnection, jobs: dict[int, LockedJob]) -> None:
    """The same for jobs that the transaction has locked; those that are not released stay as they are."""
    released = {job.id: job for job in jobs.values() if job.state is JobState.RELEASED}
    moves = Moves()
    for job in released.values():
        moves.add(job.mailing_id, MessageStatus.ACTIVE, MessageStatus.NEW, job.open)
    await connection.execute(_PUT_BACK, {"ids": sorted(released)})
    await moves.apply(connection)
