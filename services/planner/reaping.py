"""Reaping: the slow rounds that put right what nobody else will: leases that ran out, mailings that are over.

Each step looks at the database alone and does a bounded amount, so it may be repeated, and replicas may
overlap: rows are locked, and what is found changed under the lock is left alone.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.ledger import Closed, LockedJob, lock_jobs, settle_jobs
from services.planner.metrics import LEASES_EXPIRED
from services.planner.planning import Plan, plan, why_expired, window_of
from services.planner.release import put_back_locked
from services.planner.settings import PlannerSettings
from shared.database.transactions import transaction
from shared.ledger.tables import KEY_LIFETIME
from shared.statuses import JobState, MessageStatus, Reason
from shared.telemetry.log import message_fields

log = structlog.get_logger()

JOBS_AT_ONCE = 100
ROWS_AT_ONCE = 10_000

_OVERDUE = text("""
    SELECT jobs.id, request_id FROM jobs LEFT JOIN mailings ON mailings.id = mailing_id
    WHERE jobs.state = 'released' AND lease_until < :before
    ORDER BY lease_until LIMIT :most
""")

_EXPIRED = text("""
    SELECT jobs.id, mailings.expired_at, mailings.window_from, mailings.window_until
    FROM mailings JOIN jobs ON jobs.mailing_id = mailings.id AND jobs.state = 'planned'
    WHERE mailings.state = 'running' AND mailings.finished_at IS NULL AND mailings.expired_at <= :now
    ORDER BY jobs.id LIMIT :most
""")

_CANCELED = text("""
    SELECT jobs.id FROM mailings JOIN jobs ON jobs.mailing_id = mailings.id AND jobs.state = 'planned'
    WHERE mailings.state IN ('canceled', 'deleted') AND mailings.finished_at IS NULL
    ORDER BY jobs.id LIMIT :most
""")

_CLOSED = text("""
    SELECT jobs.id, window_from, window_until, request_id FROM jobs JOIN mailings ON mailings.id = jobs.mailing_id
    WHERE jobs.state = 'planned' AND send_before <= :now
      AND mailings.state = 'running' AND mailings.expired_at > :now
    ORDER BY send_before LIMIT :most
""")

_REPLAN = text("""
    UPDATE jobs SET due_at = given.due_at, send_before = given.send_before
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:due_ats AS timestamptz[]), CAST(:send_befores AS timestamptz[])
    ) AS given(id, due_at, send_before)
    WHERE jobs.id = given.id
""")

_MOVED = text("""
    SELECT id FROM jobs WHERE id = ANY(CAST(:ids AS bigint[])) AND EXISTS (
        SELECT FROM messages LEFT JOIN clients ON clients.id = client_id
        WHERE job_id = jobs.id AND status = 'new' AND clients.zone IS DISTINCT FROM jobs.zone
    )
""")

_FINISH = text("""
    UPDATE mailings SET finished_at = :now,
        state = CASE WHEN state = 'running' THEN 'finished' ELSE state END
    FROM counters
    WHERE counters.mailing_id = mailings.id AND counters.new + counters.active = 0
      AND mailings.finished_at IS NULL AND retry_statuses IS NULL
      AND (state = 'running' AND expanded_at IS NOT NULL
           OR state = 'canceled' AND (started_at IS NULL OR expanded_at IS NOT NULL))
    RETURNING mailings.id, mailings.state, mailings.request_id
""")

# A deleted mailing is kept until no sender can hold a job of it: senders that start ask for its stop until then.
_DELETED = text("""
    SELECT mailings.id FROM mailings JOIN counters ON counters.mailing_id = mailings.id
    WHERE state = 'deleted' AND finished_at IS NULL AND new + active = 0 AND stopped_at < :before
    ORDER BY mailings.id LIMIT 1 FOR UPDATE OF mailings SKIP LOCKED
""")

_PURGE_MESSAGES = text("""
    WITH gone AS (
        DELETE FROM messages
        WHERE id IN (SELECT id FROM messages WHERE mailing_id = :id ORDER BY client_id LIMIT :most)
        RETURNING id
    ), attempts_gone AS (
        DELETE FROM attempts WHERE message_id IN (SELECT id FROM gone)
    )
    SELECT count(*) FROM gone
""")

_PURGE_MAILING = (
    text("DELETE FROM jobs WHERE mailing_id = :id"),
    text("DELETE FROM paces WHERE mailing_id = :id"),
    text("DELETE FROM mailings WHERE id = :id"),
)

_FORGET = text("""
    DELETE FROM idempotency_keys WHERE key IN (
        SELECT key FROM idempotency_keys WHERE created_at < :before
        ORDER BY created_at LIMIT :most FOR UPDATE SKIP LOCKED
    )
""")


@dataclass(frozen=True, slots=True)
class Turn:
    """What a step needs."""

    engine: AsyncEngine
    settings: PlannerSettings
    now: datetime


async def reap(turn: Turn) -> bool:
    """One round; returns whether any step had its hands full, so that another round is worth it at once.

    A step that fails keeps none of the others from their work.
    """
    busy, failures = False, []
    for step in (expire, cancel, replan, finish, purge, forget):
        try:
            busy |= await step(turn)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)
    if failures:
        raise failures[0]
    return busy


async def has_overdue_jobs(turn: Turn) -> bool:
    """Whether there are jobs whose lease ran out without a word."""
    async with transaction(turn.engine) as connection:
        parameters = {"before": turn.now - turn.settings.lease_margin, "most": 1}
        return (await connection.execute(_OVERDUE, parameters)).first() is not None


async def reclaim(turn: Turn, before: datetime) -> None:
    """Jobs whose lease ran out before that instant are planned again.

    To be called when all reports from before now are recorded. So the request to do it travels through the queue
    of reports, behind them (`shared.contracts.Reclaim`). A provider that is not idempotent may have had some of
    the messages: these end as uncertain.
    """
    closed: list[Closed] = []
    async with transaction(turn.engine) as connection:
        found = (await connection.execute(_OVERDUE, {"before": before, "most": JOBS_AT_ONCE})).all()
        request_ids = {row.id: row.request_id for row in found}
        jobs = await lock_jobs(connection, request_ids)
        released = {job.id: job for job in jobs.values() if job.state is JobState.RELEASED}
        if turn.settings.provider_idempotent:
            await put_back_locked(connection, released)
        else:
            end = (MessageStatus.UNCERTAIN, Reason.SILENCE)
            closed = await settle_jobs(connection, released.values(), *end, turn.now)
    LEASES_EXPIRED.inc(len(released))
    for job in released.values():
        ids = {"mailing_id": job.mailing_id, "job_id": job.id, "request_id": request_ids[job.id]}
        log.warning("lease_ran_out", **ids, open=job.open)
    _tell(closed, MessageStatus.UNCERTAIN, Reason.SILENCE)


async def expire(turn: Turn) -> bool:
    """What was not released by its mailing's end is expired."""
    closed: dict[Reason, list[Closed]] = {}
    async with transaction(turn.engine) as connection:
        found = (await connection.execute(_EXPIRED, {"now": turn.now, "most": JOBS_AT_ONCE})).all()
        mailings = {row.id: row for row in found}
        jobs = await lock_jobs(connection, mailings)
        by_reason: dict[Reason, list[LockedJob]] = defaultdict(list)
        for job in jobs.values():
            if job.state is JobState.PLANNED:
                mailing = mailings[job.id]
                window = window_of(mailing.window_from, mailing.window_until)
                by_reason[why_expired(window, job.zone, mailing.expired_at)].append(job)
        for reason, those in by_reason.items():
            closed[reason] = await settle_jobs(connection, those, MessageStatus.EXPIRED, reason, turn.now)
    for reason, ended in closed.items():
        _tell(ended, MessageStatus.EXPIRED, reason)
    return len(found) == JOBS_AT_ONCE


async def cancel(turn: Turn) -> bool:
    """What was not released when its mailing was canceled or deleted is canceled."""
    async with transaction(turn.engine) as connection:
        found = (await connection.execute(_CANCELED, {"most": JOBS_AT_ONCE})).scalars().all()
        jobs = await lock_jobs(connection, found)
        planned = [job for job in jobs.values() if job.state is JobState.PLANNED]
        end = (MessageStatus.CANCELED, Reason.CANCEL)
        closed = await settle_jobs(connection, planned, *end, turn.now)
    _tell(closed, *end)
    return len(found) == JOBS_AT_ONCE


def _tell(closed: list[Closed], status: MessageStatus, reason: Reason) -> None:
    """Tells of every message that was not delivered; of canceled ones, which somebody wanted, only at debug."""
    tell = log.debug if status is MessageStatus.CANCELED else log.info
    for one in closed:
        tell(
            "messages_closed",
            mailing_id=one.mailing_id,
            job_id=one.job_id,
            request_id=one.request_id,
            status=status,
            reason=reason,
            **message_fields(one.ids, one.client_ids),
        )


async def replan(turn: Turn) -> bool:
    """Jobs that were not released while their local window was open are planned for its next opening."""
    async with transaction(turn.engine) as connection:
        found = (await connection.execute(_CLOSED, {"now": turn.now, "most": ROWS_AT_ONCE})).all()
        windows = {row.id: window_of(row.window_from, row.window_until) for row in found}
        request_ids = {row.id: row.request_id for row in found}
        jobs = await lock_jobs(connection, windows)
        plans = {
            job.id: plan(windows[job.id], job.zone, turn.now)
            for job in jobs.values()
            if job.state is JobState.PLANNED and job.send_before is not None and job.send_before <= turn.now
        }
        held = [job_id for job_id, planned in plans.items() if planned.is_held]
        # Clients may have been given another zone, or be gone: by that, what is due is sorted when it is released.
        moved = (await connection.execute(_MOVED, {"ids": held})).scalars() if held else ()
        plans |= dict.fromkeys(moved, Plan(turn.now))
        parameters = {
            "ids": list(plans),
            "due_ats": [planned.due_at for planned in plans.values()],
            "send_befores": [planned.send_before for planned in plans.values()],
        }
        await connection.execute(_REPLAN, parameters)
    _tell_of_held([jobs[job_id] for job_id, planned in plans.items() if planned.is_held], request_ids)
    return len(found) == ROWS_AT_ONCE


def _tell_of_held(jobs: Iterable[LockedJob], request_ids: Mapping[int, str | None]) -> None:
    """A line for each mailing and zone: of jobs there may be thousands."""
    held = Counter[tuple[int, str | None, str | None]]()
    for job in jobs:
        held[job.mailing_id, request_ids[job.id], job.zone] += job.open
    for (mailing_id, request_id, zone), messages in held.items():
        log.warning("zone_unknown", mailing_id=mailing_id, request_id=request_id, zone=zone, held=messages)


async def finish(turn: Turn) -> bool:
    """A mailing with nothing open is finished."""
    async with transaction(turn.engine) as connection:
        rows = (await connection.execute(_FINISH, {"now": turn.now})).all()
    for row in rows:
        log.info("mailing_finished", mailing_id=row.id, request_id=row.request_id, state=row.state)
    return False


async def purge(turn: Turn) -> bool:
    """Removes the rows of one deleted mailing, some thousands at a time."""
    async with transaction(turn.engine) as connection:
        before = turn.now - turn.settings.lease - turn.settings.lease_margin
        mailing_id = (await connection.execute(_DELETED, {"before": before})).scalar()
        if mailing_id is None:
            return False
        parameters = {"id": mailing_id, "most": ROWS_AT_ONCE}
        count: int = (await connection.execute(_PURGE_MESSAGES, parameters)).scalar_one()
        if count < ROWS_AT_ONCE:
            for statement in _PURGE_MAILING:
                await connection.execute(statement, {"id": mailing_id})
            log.info("mailing_purged", mailing_id=mailing_id)
    return True


async def forget(turn: Turn) -> bool:
    """Removes idempotency keys that no longer count, some thousands at a time."""
    async with transaction(turn.engine) as connection:
        parameters = {"before": turn.now - KEY_LIFETIME, "most": ROWS_AT_ONCE}
        count = (await connection.execute(_FORGET, parameters)).rowcount
    return count == ROWS_AT_ONCE
