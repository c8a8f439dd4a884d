"""Reaping: slow rounds that end what nothing else ends, such as expired leases and mailings that are over.

Each step looks at the database alone and does a bounded amount of work. So it may be repeated, and replicas may
overlap: rows are locked, and a row that changed before the lock is left alone.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.outcomes import due_after_return
from services.planner.planning import JobPlan, plan_job, why_expired
from services.planner.queries import (
    find_canceled_jobs,
    find_expired_jobs,
    find_jobs_in_other_zones,
    find_missed_jobs,
    find_overdue_jobs,
)
from services.planner.settings import PlannerSettings
from shared.database.transactions import transaction
from shared.ledger.audit import delete_old_entries
from shared.ledger.deliveries import put_mailing_events
from shared.ledger.idempotency_keys import KEY_LIFETIME, delete_old_keys
from shared.ledger.jobs import (
    LockedJob,
    delete_jobs_of_mailing,
    lock_jobs,
    put_back_jobs,
    replan_jobs,
)
from shared.ledger.login_failures import delete_old_failures
from shared.ledger.mailing_progress import delete_mailing, finish_mailings, lock_mailing_to_purge
from shared.ledger.messages import SettledJob, purge_messages, settle_jobs
from shared.ledger.paces import delete_pace_of_mailing
from shared.ledger.progress import delete_progress_of_mailing, fold_progress
from shared.ledger.spent_nonces import delete_old_nonces
from shared.ledger.tokens import delete_old_tokens
from shared.statuses import JobState, MessageStatus, Reason
from shared.webhook_events import WebhookEvent

SESSIONS_KEPT = timedelta(days=7)  # after their end
FAILED_LOGINS_KEPT = timedelta(days=1)  # the longest delay is much shorter
NONCES_KEPT = timedelta(hours=1)  # an ID token is too old to sign in with long before
AUDIT_KEPT = timedelta(days=366)
MAX_JOBS = 100
MAX_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class ReapRound:
    """Arguments of every step of one round."""

    engine: AsyncEngine
    settings: PlannerSettings
    now: datetime
    observer: PlannerObserver = DEFAULT_OBSERVER


async def reap(this: ReapRound) -> bool:
    """Carry out one round; return True if a step reached its bound, so that another round is due at once.

    A step that fails does not keep the others from their work.
    """
    is_busy, failures = False, []
    for step in (expire, cancel, replan, finish, purge, forget):
        try:
            is_busy |= await step(this)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)
    if failures:
        raise failures[0]
    return is_busy


async def has_overdue_jobs(this: ReapRound) -> bool:
    """Return True if there are jobs whose lease ended without a report."""
    async with transaction(this.engine) as connection:
        return bool(await find_overdue_jobs(connection, this.now - this.settings.lease_margin, 1))


async def reclaim(this: ReapRound, before: datetime) -> None:
    """Plan jobs again whose lease ended before the instant.

    Call it when all reports from before now are recorded. So the request travels through the queue of reports,
    behind them (`shared.contracts.Reclaim`). A provider that is not idempotent may have got some of the messages:
    these end as uncertain.
    """
    settled: list[SettledJob] = []
    async with transaction(this.engine) as connection:
        request_ids = await find_overdue_jobs(connection, before, MAX_JOBS)
        jobs = await lock_jobs(connection, request_ids)
        released = [job for job in jobs.values() if job.state is JobState.RELEASED]
        if not this.settings.provider_idempotent:
            settled = await settle_jobs(
                connection, released, MessageStatus.UNCERTAIN, Reason.SILENCE, this.now, only_doubtful=True
            )
        untouched = _without(released, settled)
        await put_back_jobs(connection, untouched, lambda job: due_after_return(job.returns + 1, this.now))
    this.observer.leases_expired(released, request_ids)
    this.observer.jobs_settled(settled, MessageStatus.UNCERTAIN, Reason.SILENCE)


async def expire(this: ReapRound) -> bool:
    """Expire the messages that were not released before their mailing's end."""
    settled: dict[Reason, list[SettledJob]] = {}
    async with transaction(this.engine) as connection:
        expired = await find_expired_jobs(connection, this.now, MAX_JOBS)
        jobs = await lock_jobs(connection, expired)
        by_reason: dict[Reason, list[LockedJob]] = defaultdict(list)
        for job in _planned(jobs):
            mailing = expired[job.id]
            by_reason[why_expired(mailing.window, job.zone, mailing.expired_at)].append(job)
        for reason, those in by_reason.items():
            settled[reason] = await settle_jobs(connection, those, MessageStatus.EXPIRED, reason, this.now)
    for reason, ended in settled.items():
        this.observer.jobs_settled(ended, MessageStatus.EXPIRED, reason)
    return len(expired) == MAX_JOBS


async def cancel(this: ReapRound) -> bool:
    """Cancel the messages that were not released before their mailing was canceled or deleted."""
    async with transaction(this.engine) as connection:
        found = await find_canceled_jobs(connection, MAX_JOBS)
        jobs = await lock_jobs(connection, found)
        settled = await settle_jobs(connection, _planned(jobs), MessageStatus.CANCELED, Reason.CANCEL, this.now)
    this.observer.jobs_settled(settled, MessageStatus.CANCELED, Reason.CANCEL)
    return len(found) == MAX_JOBS


async def replan(this: ReapRound) -> bool:
    """Plan jobs for the next opening of their local window if they were not released during the last one."""
    async with transaction(this.engine) as connection:
        missed = await find_missed_jobs(connection, this.now, MAX_ROWS)
        jobs = await lock_jobs(connection, missed)
        plans = {
            job.id: plan_job(missed[job.id].window, job.zone, this.now)
            for job in _planned(jobs)
            if job.send_before is not None and job.send_before <= this.now
        }
        held = [job_id for job_id, plan in plans.items() if plan.is_held]
        # Clients may have got another zone, or be deleted. A job that is due is sorted by that at its release.
        moved = await find_jobs_in_other_zones(connection, held) if held else []
        plans |= dict.fromkeys(moved, JobPlan(this.now))
        await replan_jobs(connection, {job_id: (plan.due_at, plan.send_before) for job_id, plan in plans.items()})
    request_ids = {job_id: job.request_id for job_id, job in missed.items()}
    this.observer.jobs_held((jobs[job_id] for job_id, plan in plans.items() if plan.is_held), request_ids)
    return len(missed) == MAX_ROWS


async def finish(this: ReapRound) -> bool:
    """End the mailings that have no open message."""
    async with transaction(this.engine) as connection:
        finished = await finish_mailings(connection, this.now)
        ended = [mailing.id for mailing in finished]
        await put_mailing_events(connection, WebhookEvent.MAILING_FINISHED, ended)
    this.observer.mailings_finished(finished)
    return False


async def purge(this: ReapRound) -> bool:
    """Remove rows of one deleted mailing, some thousands at a time."""
    async with transaction(this.engine) as connection:
        stopped_before = this.now - this.settings.lease - this.settings.lease_margin
        mailing_id = await lock_mailing_to_purge(connection, stopped_before)
        if mailing_id is None:
            return False
        is_last = await purge_messages(connection, mailing_id, MAX_ROWS) < MAX_ROWS
        if is_last:
            await delete_jobs_of_mailing(connection, mailing_id)
            await delete_pace_of_mailing(connection, mailing_id)
            await delete_progress_of_mailing(connection, mailing_id)
            await delete_mailing(connection, mailing_id)
    if is_last:
        this.observer.mailing_purged(mailing_id)
    return True


async def forget(this: ReapRound) -> bool:
    """Remove old idempotency keys, sessions, failed logins and audit entries, some thousands of each at a time."""
    async with transaction(this.engine) as connection:
        removed = (
            await delete_old_keys(connection, this.now - KEY_LIFETIME, MAX_ROWS),
            await delete_old_tokens(connection, this.now - SESSIONS_KEPT, MAX_ROWS),
            await delete_old_entries(connection, this.now - AUDIT_KEPT, MAX_ROWS),
        )
        await delete_old_failures(connection, this.now - FAILED_LOGINS_KEPT)
        await delete_old_nonces(connection, this.now - NONCES_KEPT)
    return MAX_ROWS in removed


async def fold(this: ReapRound) -> bool:
    """Fold old rows of progress into longer steps. Return True if there may be more of them.

    It reads all rows of the table, so it is no step of `reap`.
    """
    async with transaction(this.engine) as connection:
        return await fold_progress(connection, this.now, MAX_ROWS) == MAX_ROWS


def _without(jobs: Sequence[LockedJob], settled: Sequence[SettledJob]) -> list[LockedJob]:
    """Return the jobs that have open messages left after these were settled."""
    gone = {job.job_id: len(job.ids) for job in settled}
    left = [job._replace(open=job.open - gone.get(job.id, 0)) for job in jobs]
    return [job for job in left if job.open]


def _planned(jobs: dict[int, LockedJob]) -> Sequence[LockedJob]:
    return [job for job in jobs.values() if job.state is JobState.PLANNED]
