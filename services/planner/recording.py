"""Recording: turn a batch of reports into final statuses, counters, attempts and new jobs, in one transaction.

A report may come twice, late, or after its job was released again. So an acceptance or refusal by the provider is
recorded whatever happened to the job since. Any other outcome counts only while the job is out in the release that
the report names.
"""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.epochs import keep_present_epoch
from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.outcomes import (
    FinalStep,
    OpenMessage,
    Policy,
    ReportedOutcome,
    RetryStep,
    WaitStep,
    next_step,
)
from services.planner.planning import plan_job
from services.planner.queries import ReportedMessage, find_open_messages
from services.planner.recorded import PlannedAgain, RecordedReports
from shared.contracts import Acceptance, JobReport, Outcome, Report, Result
from shared.database.transactions import transaction
from shared.ledger.attempts import AttemptRow, insert_attempts
from shared.ledger.counters import StatusMoves
from shared.ledger.jobs import (
    BegunMessages,
    LockedJob,
    NewJob,
    lock_jobs,
    note_begun,
    recall_jobs,
    remove_messages_from_jobs,
)
from shared.ledger.messages import MessageSettlement, SettledMessages, move_to_new_job, settle_messages
from shared.statuses import JobState, MessageStatus
from shared.windows import Window

_FINAL_ANSWERS = frozenset({Outcome.ACCEPTED, Outcome.REJECTED})


class _RetryGroup(NamedTuple):
    """Facts that messages must share to go into the same new job."""

    mailing_id: int
    zone: str | None
    window: Window | None
    step: RetryStep


class _RetriedMessage(NamedTuple):
    """A message that is tried again, and the job that it was in."""

    job: LockedJob
    message_id: int
    client_id: int


@dataclass(slots=True)
class _Decisions:
    """Final statuses, messages that are tried again, and jobs that wait for the reports of another sender."""

    settlements: list[MessageSettlement] = field(default_factory=list)
    retries: dict[_RetryGroup, list[_RetriedMessage]] = field(default_factory=lambda: defaultdict(list))
    waits: dict[int, datetime] = field(default_factory=dict)


async def record(
    engine: AsyncEngine,
    reports: Sequence[Report],
    *,
    now: datetime,
    policy: Policy,
    chunk: int,
    observer: PlannerObserver = DEFAULT_OBSERVER,
) -> RecordedReports:
    """Record the reports. Recording them again changes nothing. `chunk` is the highest number of messages in a
    job.

    Raises:
        DatabaseUnavailable: nothing was recorded, or all of it.
    """
    began_at = time.time()
    async with transaction(engine) as connection:
        jobs = await lock_jobs(connection, {part.job_id for report in reports for part in report.jobs})
        reports = await keep_present_epoch(connection, reports, jobs, now, observer)
        parts = [part for report in reports for part in report.jobs]
        begun = [BegunMessages(one.job_id, one.release, one.begun_to) for one in parts if one.begun_to is not None]
        await note_begun(connection, begun)
        decisions = await _decide(connection, parts, jobs, now, policy)
        await recall_jobs(connection, decisions.waits)
        acceptances = {accepted.message_id: accepted for part in parts for accepted in part.accepted}
        decisions.settlements.extend(map(_sent, acceptances.values()))
        settled = await settle_messages(connection, decisions.settlements, list_sent=observer.lists_sent_messages)
        jobs |= await lock_jobs(connection, {row.job_id for row in settled} - jobs.keys())
        moves, removed = StatusMoves(), Counter[int]()
        for row in settled:
            moves.add(row.mailing_id, jobs[row.job_id].status_of_open, row.status, row.messages, row.reason)
            removed[row.job_id] += row.messages
        for job, *_ in chain.from_iterable(decisions.retries.values()):
            moves.add(job.mailing_id, job.status_of_open, MessageStatus.NEW, 1)
            removed[job.id] += 1
        await _move_to_new_jobs(connection, decisions.retries, chunk)
        senders = {part.job_id: report.sender for report in reports for part in report.jobs}
        await remove_messages_from_jobs(connection, removed, now=now, senders=senders)
        attempts = [*_attempts(reports), *_late_acceptances(settled, acceptances, reports)]
        await insert_attempts(connection, attempts)
        await moves.apply(connection)
    recorded = RecordedReports(settled, [_planned_again(*group) for group in decisions.retries.items()])
    observer.reports_recorded(reports, recorded, began_at)
    return recorded


async def _decide(
    connection: AsyncConnection,
    parts: Sequence[JobReport],
    jobs: Mapping[int, LockedJob],
    now: datetime,
    policy: Policy,
) -> _Decisions:
    """Decide what becomes of all messages that were not accepted at their first POST."""
    results = [(part, result) for part in parts for result in part.results]
    accepted = {acceptance.message_id for part in parts for acceptance in part.accepted}
    # A final answer of the provider outweighs other results for the same message in the batch.
    results.sort(key=lambda pair: pair[1].outcome not in _FINAL_ANSWERS)
    open_messages = await find_open_messages(connection, {result.message_id for _, result in results})
    decisions = _Decisions()
    jitter = random.random()  # noqa: S311 - one for the batch, so that its messages share jobs
    for part, result in results:
        found = open_messages.get(result.message_id)
        if found is None or result.message_id in accepted:
            continue
        job = jobs.get(found.job_id)
        if result.outcome not in _FINAL_ANSWERS and not _is_current(part, job):
            continue
        reported = ReportedOutcome(result.outcome, result.retry_after, result.reason)
        step = next_step(_open_message(found, job), reported, now=now, policy=policy, jitter=jitter)
        if isinstance(step, WaitStep):
            decisions.waits[found.job_id] = step.until - policy.lease_margin
            continue
        if isinstance(step, FinalStep):
            decisions.settlements.append(_settlement(result, step, now))
        else:
            assert job is not None, "only a final answer is recorded without the job"
            group = _RetryGroup(job.mailing_id, job.zone, found.window, step)
            decisions.retries[group].append(_RetriedMessage(job, result.message_id, found.client_id))
        del open_messages[result.message_id]
    return decisions


def _is_current(part: JobReport, job: LockedJob | None) -> bool:
    """Return True if the report names the message's job, in the release that is out now."""
    return (
        job is not None
        and job.id == part.job_id
        and job.state is JobState.RELEASED
        and job.release == part.release
    )


def _open_message(found: ReportedMessage, job: LockedJob | None) -> OpenMessage:
    if job is None:
        return OpenMessage(found.tries, found.expired_at, found.mailing_state)
    return OpenMessage(found.tries, found.expired_at, found.mailing_state, job.send_before, job.returns)


def _sent(accepted: Acceptance) -> MessageSettlement:
    settled_at_ms = accepted.at_ms + accepted.duration_ms
    return MessageSettlement(accepted.message_id, MessageStatus.SENT, None, settled_at_ms, accepted.duration_ms)


def _settlement(result: Result, step: FinalStep, now: datetime) -> MessageSettlement:
    if not result.attempts:
        now_ms = int(now.timestamp() * 1000)
        return MessageSettlement(result.message_id, step.status, step.reason, now_ms, None)
    last = result.attempts[-1]
    settled_at_ms = last.at_ms + last.duration_ms
    return MessageSettlement(result.message_id, step.status, step.reason, settled_at_ms, last.duration_ms)


async def _move_to_new_jobs(
    connection: AsyncConnection, retries: Mapping[_RetryGroup, list[_RetriedMessage]], chunk: int
) -> None:
    """Move the messages that are tried again into new jobs of up to `chunk` messages."""
    for group, messages in retries.items():
        plan = plan_job(group.window, group.zone, group.step.due_at)
        job = NewJob(group.mailing_id, group.zone, plan.due_at, plan.send_before, group.step.returns)
        ids = [message.message_id for message in messages]
        for start in range(0, len(ids), chunk):
            part = ids[start : start + chunk]
            await move_to_new_job(connection, job, part, is_failed_try=group.step.is_failed_try)


def _planned_again(group: _RetryGroup, messages: Sequence[_RetriedMessage]) -> PlannedAgain:
    return PlannedAgain(
        group.mailing_id,
        group.step,
        [message.message_id for message in messages],
        [message.client_id for message in messages],
    )


def _attempts(reports: Iterable[Report]) -> Iterable[AttemptRow]:
    """Return every POST that was not an acceptance at first, and every return with a reason."""
    for report in reports:
        for part in report.jobs:
            for result in part.results:
                for attempt in result.attempts:
                    yield AttemptRow(
                        result.message_id,
                        attempt.at_ms,
                        report.sender,
                        attempt.outcome,
                        attempt.provider_status,
                        attempt.provider_text,
                        attempt.duration_ms,
                    )


def _late_acceptances(
    settled: Iterable[SettledMessages], acceptances: Mapping[int, Acceptance], reports: Iterable[Report]
) -> Iterable[AttemptRow]:
    """Return acceptances of messages with earlier attempts: with these, the list of attempts is complete."""
    late = {message_id for row in settled for message_id in row.ids_tried_before} & acceptances.keys()
    if not late:
        return
    for report in reports:
        for part in report.jobs:
            for accepted in part.accepted:
                if accepted.message_id in late:
                    late.remove(accepted.message_id)
                    yield AttemptRow(
                        accepted.message_id,
                        accepted.at_ms,
                        report.sender,
                        Outcome.ACCEPTED,
                        200,
                        None,
                        accepted.duration_ms,
                    )
