"""Rules that the ledger keeps at any instant, checked by an audit with a memory."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import Job
from shared.statuses import FINAL_STATUSES, JobState, MailingState, MessageStatus
from tests.integration.ledger import STATUSES
from tests.integration.ledger_model import Provider

_SNAPSHOT = text("""
    SELECT
        (SELECT json_agg(json_build_array(id, mailing_id, client_id, job_id, status, settled_at IS NOT NULL))
            FROM messages),
        (SELECT json_agg(json_build_array(id, mailing_id, state, size, open)) FROM jobs),
        (SELECT json_agg(counters) FROM counters),
        (SELECT json_agg(json_build_array(
            id, state, started_at IS NOT NULL, expanded_at IS NOT NULL, finished_at IS NOT NULL,
            paused_at IS NOT NULL, starts_at <= :now AND expired_at > :later
        )) FROM mailings),
        (SELECT json_agg(json_build_array(id, tag)) FROM clients)
""")


class MessageRow(NamedTuple):
    id: int
    mailing_id: int
    client_id: int
    job_id: int
    status: MessageStatus
    settled: bool

    @property
    def is_final(self) -> bool:
        return self.status in FINAL_STATUSES


class JobRow(NamedTuple):
    id: int
    mailing_id: int
    state: JobState
    size: int
    open: int


class MailingRow(NamedTuple):
    id: int
    state: MailingState
    started: bool
    expanded: bool
    finished: bool
    paused: bool
    has_time: bool  # has started, and will not end soon

    @property
    def is_over(self) -> bool:
        return self.state in {MailingState.CANCELED, MailingState.DELETED}


@dataclass(frozen=True, slots=True)
class Ledger:
    """All of its rows, by id."""

    messages: dict[int, MessageRow]
    jobs: dict[int, JobRow]
    counters: dict[int, dict[str, int]]
    mailings: dict[int, MailingRow]
    clients: dict[int, str]  # their tags

    def open_jobs(self) -> list[JobRow]:
        return [job for job in self.jobs.values() if job.state != JobState.DONE]

    def status(self, message: MessageRow) -> str:
        """As the API tells it."""
        is_out = not message.is_final and self.jobs[message.job_id].state == JobState.RELEASED
        return MessageStatus.ACTIVE if is_out else message.status


async def read_ledger(connection: AsyncConnection, now: datetime, patience: timedelta) -> Ledger:
    """`patience` is how long a mailing must still have to go on for it to be said to have time."""
    instants = {"now": now, "later": now + patience}
    messages, jobs, counters, mailings, clients = (await connection.execute(_SNAPSHOT, instants)).one()
    return Ledger(
        {row[0]: MessageRow(*row) for row in messages or ()},
        {row[0]: JobRow(*row) for row in jobs or ()},
        {row["mailing_id"]: row for row in counters or ()},
        {row[0]: MailingRow(*row) for row in mailings or ()},
        dict(clients or ()),
    )


@dataclass(slots=True)
class Audit:
    """Knows what was final, who is in the audience, and who was deleted."""

    provider: Provider
    finals: dict[int, str] = field(default_factory=dict)
    ends: dict[int, datetime] = field(default_factory=dict)  # of every mailing, as they are now
    passed: set[int] = field(default_factory=set)  # mailings whose end has passed at some time
    audiences: dict[int, frozenset[int]] = field(default_factory=dict)
    excused: dict[int, set[int]] = field(default_factory=dict)  # deleted when perhaps not expanded yet
    deleted: set[int] = field(default_factory=set)  # mailings

    def check(self, ledger: Ledger, now: datetime) -> None:
        """Raises AssertionError."""
        self.deleted |= {m.id for m in ledger.mailings.values() if m.state == MailingState.DELETED}
        self.passed |= {mailing_id for mailing_id, end in self.ends.items() if end <= now}
        _check_counters(ledger)
        _check_jobs(ledger)
        self._check_audiences(ledger)
        for message in ledger.messages.values():
            self._check_message(message, ledger)
        for mailing in ledger.mailings.values():
            if mailing.finished:
                open_ones = [m for m in ledger.messages.values() if m.mailing_id == mailing.id and not m.is_final]
                assert not open_ones, f"finished with open messages: {open_ones}"
                assert mailing.expanded or not mailing.started, f"finished in mid-expansion: {mailing}"
        for mailing_id in self.ends.keys() - ledger.mailings.keys():
            assert mailing_id in self.deleted, f"mailing {mailing_id} is gone"

    def check_handed_out(self, job: Job, ledger: Ledger) -> None:
        """Check that the messages of a released job are open, and belong to it."""
        assert job.send_before <= self.ends[job.mailing_id], f"may be sent after the mailing's end: {job}"
        mailing = ledger.mailings[job.mailing_id]
        assert mailing.state == MailingState.RUNNING, f"handed out of {mailing}"
        assert not mailing.paused, f"handed out of {mailing}"
        for given in job.messages:
            message = ledger.messages[given.id]
            assert not message.is_final, f"handed out after its end: {message}"
            assert message.job_id == job.job_id, f"handed out with job {job.job_id}: {message}"

    def fix_audience(self, mailing_id: int, audience: set[int]) -> None:
        """The mailing starts now."""
        self.audiences[mailing_id] = frozenset(audience)
        self.excused[mailing_id] = set()

    def _check_message(self, message: MessageRow, ledger: Ledger) -> None:
        before = self.finals.get(message.id)
        assert before in {None, message.status}, f"was {before}: {message}"
        if not message.is_final:
            return
        self.finals[message.id] = message.status
        assert message.settled
        if before is not None:
            return
        mailing = ledger.mailings[message.mailing_id]
        match MessageStatus(message.status):
            case MessageStatus.SENT:
                assert message.id in self.provider.accepted, f"the provider does not have it: {message}"
            case MessageStatus.FAILED:
                assert message.id in self.provider.refused, f"the provider did not refuse it: {message}"
            case MessageStatus.UNCERTAIN:
                assert not self.provider.idempotent, f"can be asked again: {message}"
            case MessageStatus.EXPIRED:
                assert message.mailing_id in self.passed, f"expired before the end: {message}"
            case MessageStatus.CANCELED:
                assert mailing.is_over or message.client_id not in ledger.clients, (
                    f"canceled for no reason: {message}"
                )

    def _check_audiences(self, ledger: Ledger) -> None:
        for mailing_id, audience in self.audiences.items():
            mailing = ledger.mailings.get(mailing_id)
            if mailing is None or mailing.state == MailingState.DELETED:
                continue
            written = Counter(m.client_id for m in ledger.messages.values() if m.mailing_id == mailing_id)
            assert max(written.values(), default=1) == 1, f"two messages for a client: {written}"
            assert written.keys() <= audience, f"not in the audience: {written.keys() - audience}"
            if mailing.expanded:
                missing = audience - written.keys() - self.excused[mailing_id]
                assert not missing, f"forgotten in mailing {mailing_id}: {missing}"


def _check_counters(ledger: Ledger) -> None:
    counted = {mailing_id: Counter[str]() for mailing_id in ledger.mailings}
    for message in ledger.messages.values():
        counted[message.mailing_id][ledger.status(message)] += 1
    for mailing_id, counters in ledger.counters.items():
        stored = {name: counters[name] for name in STATUSES}
        assert stored == {name: counted[mailing_id][name] for name in STATUSES}, f"of mailing {mailing_id}"
        assert counters["total"] == sum(stored.values())
    assert ledger.counters.keys() == ledger.mailings.keys()


def _check_jobs(ledger: Ledger) -> None:
    held = Counter(m.job_id for m in ledger.messages.values() if not m.is_final)
    for job in ledger.jobs.values():
        assert job.open == held[job.id], f"holds {held[job.id]}: {job}"
        assert (job.state == JobState.DONE) == (job.open == 0), f"done means that nothing is open: {job}"
    assert held.keys() <= ledger.jobs.keys(), "a message in no job"
    for message in ledger.messages.values():
        if not message.is_final:
            assert ledger.jobs[message.job_id].mailing_id == message.mailing_id
