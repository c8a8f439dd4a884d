"""Claiming: mark due jobs as released, and put together what the senders need to know about them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.capacity import Shares
from services.planner.pacing import Limit
from services.planner.planning import JobPlan, plan_job
from services.planner.queries import MessageInJob, find_messages_of_jobs
from shared.contracts import Job, JobMessage
from shared.ledger.counters import StatusMoves
from shared.ledger.jobs import ClaimedJob, NewJob, ReleaseShare, claim_jobs, remove_messages_from_jobs
from shared.ledger.messages import cancel_messages, move_to_new_job
from shared.statuses import MessageStatus, Reason


@dataclass(frozen=True, slots=True)
class _Room:
    """Messages that a job may keep, and that each further job may have."""

    stay: int
    chunk: int


@dataclass(slots=True)
class _Sorted:
    """Messages that stay in a claimed job, and those that leave it, by the plan of their new jobs."""

    stay: list[MessageInJob] = field(default_factory=list)
    leave: list[tuple[NewJob, list[int]]] = field(default_factory=list)


async def claim(
    connection: AsyncConnection,
    shares: Shares,
    revisions: Mapping[int, int],
    lease_until: datetime,
    now: datetime,
    limits: Mapping[int, Limit] = MappingProxyType({}),
) -> list[Job]:
    """Release jobs up to each mailing's share of messages, and return them. Those that close first come first.

    `revisions` are those that the mailings had when the `shares` were made.

    Messages that do not belong into their job leave it. Those of deleted clients, and those to numbers on the
    stop list, are canceled. Those of clients in
    another zone than the job's, and all if the mailing's window is not open there now, are planned anew. Under a
    rate limit, messages above the limit's chunk, and messages without a slot before the job closes, go into jobs
    of their own that wait.
    """
    to_claim = [
        ReleaseShare(
            mailing_id,
            share,
            revisions[mailing_id],
            _first_slot(limits.get(mailing_id), now),
            mailing_id in shares.unlimited,
        )
        for mailing_id, share in shares.messages.items()
        if share > 0
    ]
    if not to_claim:
        return []
    claimed = await claim_jobs(connection, to_claim, shares.room, lease_until, now)
    moves = StatusMoves()
    for job in claimed:
        moves.add(job.mailing_id, MessageStatus.NEW, MessageStatus.ACTIVE, job.open)
    messages = await find_messages_of_jobs(connection, [job.id for job in claimed])
    locked = {job.id: job.as_locked for job in claimed}
    for reason, ids in _kept_back(messages.values()).items():
        await cancel_messages(connection, locked, ids, reason, moves, now)
    used_slots = Counter[int]()
    jobs: list[Job] = []
    for job in sorted((_with_current_window(job, now) for job in claimed), key=_release_order):
        present = [message for message in messages.get(job.id, ()) if _why_kept_back(message) is None]
        room = _room_in(job, limits.get(job.mailing_id), used_slots[job.mailing_id], now)
        result = _sort_messages(job, present, room, now)
        await _move_away(connection, job, result, moves, now)
        used_slots[job.mailing_id] += len(result.stay)
        if result.stay:
            jobs.append(_job(job, result.stay, lease_until))
    await moves.apply(connection)
    return jobs


def _kept_back(groups: Iterable[Sequence[MessageInJob]]) -> dict[Reason, list[int]]:
    """Return the ids of the messages that are not sent, by the reason."""
    ids = defaultdict[Reason, list[int]](list)
    for group in groups:
        for message in group:
            if (reason := _why_kept_back(message)) is not None:
                ids[reason].append(message.id)
    return ids


def _why_kept_back(message: MessageInJob) -> Reason | None:
    if message.number is None:
        return Reason.CLIENT
    return Reason.STOPPED if message.is_stopped else None


def _first_slot(limit: Limit | None, now: datetime) -> datetime:
    return now if limit is None else datetime.fromtimestamp(limit.first_slot(now.timestamp()), UTC)


def _release_order(job: ClaimedJob) -> tuple[bool, datetime, int]:
    return not job.is_single, job.send_before or job.expired_at, job.id


def _with_current_window(job: ClaimedJob, now: datetime) -> ClaimedJob:
    """Return the job with the opening of the window that its mailing has now.

    The window may have changed after the job was planned: such a change does not wait for running transactions.
    """
    opening = plan_job(job.window, job.zone, now)
    if opening.due_at > now:
        return job._replace(send_before=now)
    ends = [end for end in (job.send_before, opening.send_before) if end is not None]
    return job._replace(send_before=min(ends, default=None))


def _room_in(job: ClaimedJob, limit: Limit | None, used_slots: int, now: datetime) -> _Room:
    """Return how many messages the job may keep under the limit of its mailing, if there is one."""
    if limit is None:
        return _Room(job.open, job.open)
    chunk = limit.chunk(job.open)
    if job.send_before is None:
        return _Room(chunk, chunk)
    slots = limit.slots_until(job.send_before.timestamp(), now.timestamp())
    return _Room(max(0, min(chunk, slots - used_slots)), chunk)


def _sort_messages(job: ClaimedJob, messages: Sequence[MessageInJob], room: _Room, now: datetime) -> _Sorted:
    """Decide which messages stay in the job, and in which jobs the others go on. Pure."""
    is_open = job.send_before is None or job.send_before > now
    result = _Sorted()
    elsewhere = defaultdict[str | None, list[int]](list)
    for message in messages:
        if is_open and (job.window is None or message.zone == job.zone):
            result.stay.append(message)
        else:
            elsewhere[message.zone].append(message.id)
    result.stay, above = result.stay[: room.stay], result.stay[room.stay :]
    leaving = [(zone, plan_job(job.window, zone, now), ids) for zone, ids in elsewhere.items()]
    leaving.append((job.zone, JobPlan(now, job.send_before), [message.id for message in above]))
    for zone, plan, ids in leaving:
        new_job = NewJob(job.mailing_id, zone, plan.due_at, plan.send_before, job.returns)
        result.leave += [(new_job, ids[start : start + room.chunk]) for start in range(0, len(ids), room.chunk)]
    return result


async def _move_away(
    connection: AsyncConnection, job: ClaimedJob, result: _Sorted, moves: StatusMoves, now: datetime
) -> None:
    """Move the messages that leave the job into their new jobs; add to `moves`."""
    count = 0
    for new_job, ids in result.leave:
        await move_to_new_job(connection, new_job, ids, is_failed_try=False)
        count += len(ids)
    if count:
        moves.add(job.mailing_id, MessageStatus.ACTIVE, MessageStatus.NEW, count)
        await remove_messages_from_jobs(connection, {job.id: count}, now=now)


def _job(claimed: ClaimedJob, messages: Sequence[MessageInJob], lease_until: datetime) -> Job:
    ends = [claimed.expired_at] if claimed.send_before is None else [claimed.expired_at, claimed.send_before]
    return Job(
        job_id=claimed.id,
        release=claimed.release,
        mailing_id=claimed.mailing_id,
        revision=claimed.revision,
        text=claimed.text,
        send_before=min(ends),
        lease_until=lease_until,
        messages=tuple(JobMessage(message.id, message.number or 0) for message in messages),
        client_ids=tuple(message.client_id for message in messages),
        request_id=claimed.request_id,
        traceparent=claimed.traceparent,
    )
