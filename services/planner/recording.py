"""Recording: a batch of reports becomes final states, counters, attempts and new jobs, in one transaction.

A report may come twice, late, or after its job was released again. So: what the provider has accepted or
refused is recorded whatever the job's fate since; anything else counts only while the job is still out in the
release that the report speaks of.
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.ledger import (
    LockedJob,
    Settled,
    Settlement,
    lock_jobs,
    move_to_new_job,
    settle,
    take_from_jobs,
)
from services.planner.outcomes import OpenMessage, Policy, Said, Settle, TryAgain, next_step
from services.planner.planning import plan, window_of
from shared.contracts import Acceptance, JobReport, Outcome, Report, Result
from shared.database.transactions import transaction
from shared.ledger.counters import Moves
from shared.statuses import JobState, MailingState, MessageStatus
from shared.telemetry.log import NO_MESSAGES, MessageSample, message_fields
from shared.windows import Window

log = structlog.get_logger()

_FINAL_WORDS = frozenset({Outcome.ACCEPTED, Outcome.REJECTED})

_OPEN_MESSAGES = text("""
    SELECT m.id, m.job_id, m.client_id, m.tries, mailings.expired_at, mailings.state,
        mailings.window_from, mailings.window_until
    FROM messages AS m JOIN mailings ON mailings.id = m.mailing_id
    WHERE m.id = ANY(CAST(:ids AS bigint[])) AND m.status = 'new'
""")

_ATTEMPTS = text("""
    INSERT INTO attempts (message_id, at, sender, outcome, provider_status, provider_text, duration_ms)
    SELECT message_id, to_timestamp(at_ms / 1000.0), sender, outcome, status, left(said, 200), duration_ms
    FROM unnest(
        CAST(:message_ids AS bigint[]), CAST(:ats AS bigint[]), CAST(:senders AS text[]),
        CAST(:outcomes AS text[]), CAST(:statuses AS smallint[]), CAST(:texts AS text[]),
        CAST(:durations AS integer[])
    ) AS given(message_id, at_ms, sender, outcome, status, said, duration_ms)
    ON CONFLICT DO NOTHING
""")


class AttemptRow(NamedTuple):
    """A row of the table `attempts`, as arrays go into it."""

    message_id: int
    at_ms: int
    sender: str
    outcome: str
    provider_status: int | None
    provider_text: str | None
    duration_ms: int


class _Open(NamedTuple):
    """A message that is not settled, and what counts of its mailing."""

    job_id: int
    client_id: int
    tries: int
    expired_at: datetime
    state: MailingState
    window: Window | None


class _Group(NamedTuple):
    """Messages with this in common go into the same new job."""

    mailing_id: int
    zone: str | None
    window: Window | None
    step: TryAgain


class _Member(NamedTuple):
    """A message that is tried again, and the job that it was in."""

    job: LockedJob
    message_id: int
    client_id: int


_Again = dict[_Group, list[_Member]]


@dataclass(slots=True)
class Recorded:
    """What a batch came to."""

    settled: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    again: int = 0


async def record(
    engine: AsyncEngine,
    reports: Sequence[Report],
    *,
    now: datetime,
    policy: Policy,
    chunk: int,
    sample: MessageSample = NO_MESSAGES,
) -> Recorded:
    """Records the reports. Doing so again changes nothing."""
    async with transaction(engine) as connection:
        parts = [part for report in reports for part in report.jobs]
        jobs = await lock_jobs(connection, {part.job_id for part in parts})
        recorded, moves = Recorded(), Moves()
        settlements, again = await _decide(connection, parts, jobs, now, policy)
        plain = {word.message_id: word for part in parts for word in part.accepted}
        settlements.extend(_sent(word) for word in plain.values())
        settled = await settle(connection, settlements, name_all=sample.is_active)
        jobs |= await lock_jobs(connection, {row.job_id for row in settled} - jobs.keys())
        taken: dict[int, int] = defaultdict(int)
        for row in settled:
            moves.add(row.mailing_id, jobs[row.job_id].status_of_open, row.status, row.messages)
            taken[row.job_id] += row.messages
            recorded.settled[row.status] += row.messages
        for job, *_ in chain.from_iterable(again.values()):
            moves.add(job.mailing_id, job.status_of_open, MessageStatus.NEW, 1)
            taken[job.id] += 1
            recorded.again += 1
        await _move(connection, again, chunk)
        senders = {part.job_id: report.sender for report in reports for part in report.jobs}
        await take_from_jobs(connection, taken, now=now, senders=senders)
        await _write_attempts(connection, [*_attempts(reports), *_late_acceptances(settled, plain, reports)])
        await moves.apply(connection)
    _tell(settled, again, {part.mailing_id: part.request_id for part in parts}, sample)
    return recorded


def _tell(
    settled: Iterable[Settled], again: _Again, request_ids: Mapping[int, str | None], sample: MessageSample
) -> None:
    """Of what was not sent, always; of the rest, what is told of one by one."""
    for row in settled:
        end = {"mailing_id": row.mailing_id, "job_id": row.job_id, "request_id": request_ids.get(row.mailing_id)}
        end |= {"status": row.status, "reason": row.reason}
        ids, client_ids = row.ids or [], row.client_ids or []
        if row.status != MessageStatus.SENT:
            log.info("messages_settled", **end, **message_fields(ids, client_ids))
        elif fields := sample.fields(ids, client_ids):
            sample.log("messages_settled", **end, **fields)
    for group, members in again.items() if sample.is_active else ():
        messages = [member.message_id for member in members], [member.client_id for member in members]
        if fields := sample.fields(*messages):
            concerned = {"mailing_id": group.mailing_id, "request_id": request_ids.get(group.mailing_id)}
            sample.log("messages_planned_again", **concerned, due_at=group.step.due_at.isoformat(), **fields)


async def _decide(
    connection: AsyncConnection,
    parts: Iterable[JobReport],
    jobs: dict[int, LockedJob],
    now: datetime,
    policy: Policy,
) -> tuple[list[Settlement], _Again]:
    """What becomes of all messages that were not plainly accepted."""
    told = [(part, result) for part in parts for result in part.results]
    accepted = {word.message_id for part in parts for word in part.accepted}
    # The provider's last word on a message outweighs what else is said of it in the same batch.
    told.sort(key=lambda pair: pair[1].outcome not in _FINAL_WORDS)
    open_messages = await _open_messages(connection, [result.message_id for _, result in told])
    settlements: list[Settlement] = []
    again: _Again = defaultdict(list)
    jitter = random.random()  # noqa: S311 - one for the batch, so that its messages share jobs
    for part, result in told:
        found = open_messages.get(result.message_id)
        if found is None or result.message_id in accepted:
            continue
        job = jobs.get(found.job_id)
        if result.outcome not in _FINAL_WORDS and not _is_current(part, job):
            continue
        message = OpenMessage(found.tries, found.expired_at, found.state, closes_at=job and job.send_before)
        said = Said(result.outcome, result.retry_after, result.reason)
        step = next_step(message, said, now=now, policy=policy, jitter=jitter)
        if isinstance(step, Settle):
            settlements.append(_settlement(result, step, now))
        else:
            assert job is not None, "only a provider's last word is taken without the job"
            again[_Group(job.mailing_id, job.zone, found.window, step)].append(
                _Member(job, result.message_id, found.client_id)
            )
        del open_messages[result.message_id]
    return settlements, again


def _is_current(part: JobReport, job: LockedJob | None) -> bool:
    """Whether the report speaks of the job that the message is in, in the release that is out now."""
    return (
        job is not None
        and job.id == part.job_id
        and job.state is JobState.RELEASED
        and job.release == part.release
    )


async def _open_messages(connection: AsyncConnection, ids: Sequence[int]) -> dict[int, _Open]:
    """Those that are not settled, by id."""
    if not ids:
        return {}
    rows = await connection.execute(_OPEN_MESSAGES, {"ids": sorted(set(ids))})
    return {
        row.id: _Open(
            row.job_id,
            row.client_id,
            row.tries,
            row.expired_at,
            MailingState(row.state),
            window_of(row.window_from, row.window_until),
        )
        for row in rows
    }


def _sent(word: Acceptance) -> Settlement:
    settled_ms = word.at_ms + word.duration_ms
    return Settlement(word.message_id, MessageStatus.SENT, None, settled_ms, word.duration_ms)


def _settlement(result: Result, end: Settle, now: datetime) -> Settlement:
    if not result.attempts:
        return Settlement(result.message_id, end.status, end.reason, int(now.timestamp() * 1000), None)
    last = result.attempts[-1]
    settled_ms = last.at_ms + last.duration_ms
    return Settlement(result.message_id, end.status, end.reason, settled_ms, last.duration_ms)


async def _move(connection: AsyncConnection, again: _Again, chunk: int) -> None:
    """Puts what is to be tried again into new jobs."""
    for group, members in again.items():
        planned = plan(group.window, group.zone, group.step.due_at)
        for start in range(0, len(members), chunk):
            ids = [member.message_id for member in members[start : start + chunk]]
            await move_to_new_job(connection, group.mailing_id, group.zone, planned, ids, counts=group.step.counts)


def _attempts(reports: Iterable[Report]) -> Iterable[AttemptRow]:
    """Every POST that was not a plain acceptance, and a line for what was given back with a reason."""
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
    settled: Iterable[Settled], plain: dict[int, Acceptance], reports: Iterable[Report]
) -> Iterable[AttemptRow]:
    """Acceptances at the first POST of a later delivery: the message had a story before, so this is its end."""
    late = {message_id for row in settled for message_id in row.tried_before or ()} & plain.keys()
    if not late:
        return
    for report in reports:
        for part in report.jobs:
            for word in part.accepted:
                if word.message_id in late:
                    late.remove(word.message_id)
                    yield AttemptRow(
                        word.message_id,
                        word.at_ms,
                        report.sender,
                        Outcome.ACCEPTED,
                        200,
                        None,
                        word.duration_ms,
                    )


async def _write_attempts(connection: AsyncConnection, rows: Sequence[AttemptRow]) -> None:
    if rows:
        names = ("message_ids", "ats", "senders", "outcomes", "statuses", "texts", "durations")
        columns = [list(column) for column in zip(*rows, strict=True)]
        await connection.execute(_ATTEMPTS, dict(zip(names, columns, strict=True)))


def describe(recorded: Recorded, reports: int) -> dict[str, int]:
    """The fields of a batch's log line."""
    return {"reports": reports, "again": recorded.again, **recorded.settled}
