"""Claiming: due jobs are stamped released, and become what the senders need to know of them."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.ledger import LockedJob, cancel_messages, move_to_new_job, take_from_jobs
from services.planner.pacing import Limit
from services.planner.planning import Plan, plan, window_of
from shared.contracts import Job, JobMessage
from shared.ledger.counters import Moves
from shared.statuses import JobState, MessageStatus

MOST_JOBS_AT_ONCE = 500  # of a mailing

# Of a mailing with a local window, those that close first go first; what has closed is for `reaping.replan`.
# Under a limit, `first` is the first slot: what closes before that must not have any.
# A mailing whose revision is another than when the shares were made has been stopped or narrowed since.
# No SKIP LOCKED: whoever else has one of these jobs (a sweep, the deletion of a client) is done in a moment,
# and `state` is then looked at again.
_CLAIM = text("""
    WITH picked AS MATERIALIZED (
        SELECT due.id, share.revision
        FROM unnest(
            CAST(:mailings AS bigint[]), CAST(:shares AS bigint[]), CAST(:revisions AS integer[]),
            CAST(:firsts AS timestamptz[])
        ) AS share(mailing_id, messages, revision, first)
        CROSS JOIN LATERAL (
            SELECT id, sum(open) OVER (ORDER BY send_before, due_at, id) - open AS before
            FROM (
                SELECT id, open, send_before, due_at FROM jobs
                WHERE mailing_id = share.mailing_id AND state = 'planned' AND due_at <= :now
                  AND (send_before IS NULL OR send_before > share.first)
                ORDER BY send_before, due_at, id LIMIT :most
            ) AS first
        ) AS due
        WHERE due.before < share.messages
    )
    UPDATE jobs SET state = 'released', release = release + 1, lease_until = :lease_until
    FROM mailings, picked
    WHERE jobs.id = picked.id AND jobs.state = 'planned' AND mailings.id = jobs.mailing_id
      AND mailings.state = 'running' AND mailings.paused_at IS NULL AND mailings.revision = picked.revision
    RETURNING jobs.id, jobs.mailing_id, jobs.release, jobs.open, jobs.zone, jobs.send_before, mailings.expired_at,
              mailings.window_from, mailings.window_until, mailings.express, mailings.revision, mailings.text,
              mailings.request_id, mailings.traceparent
""")

# Numbers and zones are read at the last moment; a client that is gone leaves a NULL.
_MESSAGES = text("""
    SELECT m.job_id, array_agg(m.id ORDER BY m.id) AS ids,
        array_agg(coalesce(mailings.number, c.number) ORDER BY m.id) AS numbers,
        array_agg(CASE WHEN window_from IS NOT NULL THEN zone END ORDER BY m.id) AS zones,
        array_agg(m.client_id ORDER BY m.id) AS client_ids
    FROM messages AS m JOIN mailings ON mailings.id = m.mailing_id LEFT JOIN clients AS c ON c.id = m.client_id
    WHERE m.job_id = ANY(CAST(:job_ids AS bigint[])) AND m.status = 'new'
    GROUP BY m.job_id
""")


class Claimed(NamedTuple):
    """A job that was just stamped released, and what its mailing looked like in that instant."""

    id: int
    mailing_id: int
    release: int
    open: int
    zone: str | None
    send_before: datetime | None
    expired_at: datetime
    window_from: time | None
    window_until: time | None
    express: bool
    revision: int
    text: str
    request_id: str | None
    traceparent: str | None


class Open(NamedTuple):
    """A message of a claimed job. Without a number its client is gone. The zone is there if it counts."""

    id: int
    number: int | None
    zone: str | None
    client_id: int


async def claim(
    connection: AsyncConnection,
    shares: Mapping[int, int],
    revisions: Mapping[int, int],
    lease_until: datetime,
    now: datetime,
    limits: Mapping[int, Limit] = MappingProxyType({}),
) -> list[Job]:
    """Stamps jobs released, and reads what the senders need to know of them. Those that close first come first.

    `revisions` are those that the mailings had when the `shares` were made.

    Messages that do not belong into their job leave it: those of clients that are gone are canceled; those of
    clients in another zone than the job's, and all when the mailing's window is not open there now, are planned
    anew; under a limit, those that are above its chunk wait, and those for which there is no slot before the job
    closes: it is for others to have.
    """
    shares = {mailing_id: share for mailing_id, share in shares.items() if share > 0}
    if not shares:
        return []
    firsts = [
        datetime.fromtimestamp(limits[mailing_id].first_slot(now.timestamp()), UTC)
        if mailing_id in limits
        else now
        for mailing_id in shares
    ]
    parameters = {
        "mailings": list(shares),
        "shares": list(shares.values()),
        "revisions": [revisions[mailing_id] for mailing_id in shares],
        "firsts": firsts,
        "now": now,
    }
    rows = await connection.execute(_CLAIM, parameters | {"lease_until": lease_until, "most": MOST_JOBS_AT_ONCE})
    claimed = [Claimed(*row) for row in rows]
    moves = Moves()
    for job in claimed:
        moves.add(job.mailing_id, MessageStatus.NEW, MessageStatus.ACTIVE, job.open)
    members = await _messages(connection, [job.id for job in claimed])
    gone = [message.id for messages in members.values() for message in messages if message.number is None]
    await cancel_messages(connection, _as_locked(claimed), gone, moves, now)
    slots_taken = Counter[int]()
    jobs: list[Job] = []
    for job in sorted(map(partial(_as_it_is_now, now=now), claimed), key=_urgency):
        there = [message for message in members.get(job.id, ()) if message.number is not None]
        chunk = room = job.open
        if limit := limits.get(job.mailing_id):
            chunk = room = limit.chunk(job.open)
            if job.send_before is not None:
                slots = limit.slots_until(job.send_before.timestamp(), now.timestamp())
                room = max(0, min(chunk, slots - slots_taken[job.mailing_id]))
        stay = await _sort(connection, job, there, chunk, room, moves, now)
        slots_taken[job.mailing_id] += len(stay)
        if stay:
            jobs.append(_job(job, stay, lease_until))
    await moves.apply(connection)
    return jobs


def _urgency(job: Claimed) -> tuple[bool, datetime, int]:
    return not job.express, job.send_before or job.expired_at, job.id


def _as_it_is_now(job: Claimed, now: datetime) -> Claimed:
    """The job's opening by the window that its mailing has now. It may have been planned by one that was changed
    meanwhile: a window is changed without waiting for those who make jobs."""
    opening = plan(window_of(job.window_from, job.window_until), job.zone, now)
    if opening.due_at > now:
        return job._replace(send_before=now)
    ends = [end for end in (job.send_before, opening.send_before) if end is not None]
    return job._replace(send_before=min(ends, default=None))


async def _sort(
    connection: AsyncConnection,
    job: Claimed,
    messages: list[Open],
    chunk: int,
    room: int,
    moves: Moves,
    now: datetime,
) -> list[Open]:
    """Moves those that do not belong into the job to jobs of their own; at most `room` stay, and are returned."""
    window = window_of(job.window_from, job.window_until)
    is_open = job.send_before is None or job.send_before > now
    stay, elsewhere = [], defaultdict[str | None, list[int]](list)
    for message in messages:
        if is_open and (window is None or message.zone == job.zone):
            stay.append(message)
        else:
            elsewhere[message.zone].append(message.id)
    stay, above = stay[:room], stay[room:]
    leaving = [(zone, plan(window, zone, now), ids) for zone, ids in elsewhere.items()]
    leaving += [(job.zone, Plan(now, job.send_before), [message.id for message in above])]
    count = 0
    for zone, planned, ids in leaving:
        for start in range(0, len(ids), chunk):
            part = ids[start : start + chunk]
            await move_to_new_job(connection, job.mailing_id, zone, planned, part, counts=False)
            count += len(part)
    if count:
        moves.add(job.mailing_id, MessageStatus.ACTIVE, MessageStatus.NEW, count)
        await take_from_jobs(connection, {job.id: count}, now=now)
    return stay


def _as_locked(claimed: Sequence[Claimed]) -> dict[int, LockedJob]:
    """The claimed jobs as the ledger knows them: this transaction holds their rows."""
    return {
        job.id: LockedJob(
            job.id, job.mailing_id, JobState.RELEASED, job.release, job.open, job.zone, job.send_before
        )
        for job in claimed
    }


async def _messages(connection: AsyncConnection, job_ids: Sequence[int]) -> dict[int, list[Open]]:
    """Open messages by job."""
    rows = await connection.execute(_MESSAGES, {"job_ids": list(job_ids)})
    return {row.job_id: list(map(Open, row.ids, row.numbers, row.zones, row.client_ids)) for row in rows}


def _job(claimed: Claimed, messages: Sequence[Open], lease_until: datetime) -> Job:
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
