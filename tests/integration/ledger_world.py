"""All that can happen to the ledger, as one method each: what the operator, planners, senders and the wire do.

The planner's and the API's functions are the real ones, on a real PostgreSQL. Whoever calls these methods makes up
a history; `come_to_rest` ends it.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from enum import Enum
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.clients import commands as clients
from services.api.edge.outbox_relay import relay_batch
from services.api.edge.refusals import Refusal
from services.api.mailings import commands as mailings
from services.api.mailings.schemas import MailingFields, MailingIn
from services.api.messages import queries as messages
from services.planner import expansion, reaping, recording
from services.planner.queries import find_due_mailings, find_stops
from services.planner.release import put_back, release
from services.planner.settings import PlannerSettings
from shared.broker.publisher import Publisher
from shared.contracts import Job, Outcome, Reclaim, Report, Stops
from shared.database.transactions import autocommitted, transaction
from shared.ledger.origin import NO_ORIGIN, Origin
from shared.ledger.tables import Table
from shared.statuses import MailingState, MessageStatus
from tests.integration.ledger import add_clients, claim
from tests.integration.ledger_audit import Audit, read_ledger
from tests.integration.ledger_model import (
    BEGINNING,
    Answer,
    Circumstances,
    Clock,
    Fate,
    Provider,
    Run,
    Sender,
    Waiting,
    Wire,
)

TAG, OTHER_TAG = "#a", "#b"  # mailings are for the one
# From any state, within this time all is tried again and done: a lease and its margin, the longest wait for
# a try, a grace period, each more than once.
PATIENCE = timedelta(seconds=600)
WAITS = (0, 12, 35, 80, 12, 35, 80, 12, 35, 80)
UNTIL_ALL_IS_OVER = (4_000, 80, 80)

Given = ParamSpec("Given")
Change = Callable[[AsyncConnection, int, Origin], Awaitable[object]]
Step = Callable[[reaping.ReapRound], Awaitable[bool]]
Answered = TypeVar("Answered")

# Quicker than TRUNCATE. Ids begin anew, so that a history can be repeated.
_EMPTY = [text(f"DELETE FROM {table.name}") for table in reversed(Table.metadata.sorted_tables)]
_BEGIN_ANEW = text(
    "SELECT setval(pg_get_serial_sequence(name, 'id'), 1, false) FROM unnest(CAST(:names AS text[])) AS name"
)
WITH_IDS = ["clients", "mailings", "jobs", "messages"]
_ATTEMPTS = text("SELECT message_id, round(extract(epoch FROM at) * 1000)::bigint AS at_ms FROM attempts")
# The API takes the database's clock for this one.
_STOPPED_NOW = text("UPDATE mailings SET stopped_at = :now WHERE stopped_at < :beginning")


class Stage(NamedTuple):
    """Parts that all histories share."""

    runner: asyncio.Runner
    engine: AsyncEngine
    reading: AsyncEngine  # with autocommit
    clock: Clock
    settings: PlannerSettings


class End(Enum):
    """Fate of running requests when a history ends."""

    WELL = "it goes on"
    SENDERS_DIE = "senders die in mid-request"
    ALL_IS_LOST = "senders, jobs and reports are lost"


class World:
    """The ledger, and everything around it."""

    def __init__(self, stage: Stage, *, idempotent: bool) -> None:
        _, self._engine, self._reading, self._clock, settings = stage
        self._settings = settings.model_copy(update={"provider_idempotent": idempotent})
        self._clock.reset()
        self.wire = Wire()
        self.stalled: list[Job] = []  # stamped released by a planner that stalled before it published them
        self._provider = Provider(idempotent=idempotent)
        self._audit = Audit(self._provider)
        self._numbers = 79_050_000_000
        self._names = 0
        self._attempts: set[tuple[int, int]] = set()  # that were reported: message and instant

    async def begin(self, clients_: int) -> None:
        """Clients, a mailing that has started, and a sender."""
        async with transaction(self._engine) as connection:
            for statement in _EMPTY:
                await connection.execute(statement)
            await connection.execute(_BEGIN_ANEW, {"names": WITH_IDS})
        await self.add_clients(clients_)
        await self.create_mailing(starts_in=0, lasts=3_000)
        await self.expand_once()
        await self.start_sender()
        await self.look()

    async def look(self) -> None:
        """Holds the ledger against its rules."""
        self._clock.pass_(0.001)
        async with autocommitted(self._reading) as connection:
            self.ledger = await read_ledger(connection, self._clock.now, PATIENCE)
        self._audit.check(self.ledger, self._clock.now)

    @property
    def posts(self) -> int:
        return self._provider.posts_made

    def pass_time(self, seconds: float) -> None:
        self._clock.pass_(seconds)

    # The operator

    async def add_clients(self, count: int, tag: str = TAG) -> None:
        await add_clients(self._engine, count, tag=tag, first=self._numbers)
        self._numbers += count

    async def delete_client(self, client_id: int) -> None:
        await self._ask(clients.delete, client_id, NO_ORIGIN)
        for mailing_id, excused in self._audit.excused.items():
            mailing = self.ledger.mailings.get(mailing_id)
            if mailing is not None and not mailing.expanded:
                excused.add(client_id)

    async def create_mailing(self, starts_in: float, lasts: float) -> None:
        start = self._clock.now + timedelta(seconds=starts_in)
        end = start + timedelta(seconds=lasts)
        instants = {"starts_at": start.isoformat(), "expired_at": end.isoformat()}
        new = MailingIn.model_validate({**instants, "text": "hello", "filter": TAG})
        async with transaction(self._engine) as connection:
            created = await mailings.create(connection, new, NO_ORIGIN)
        self._audit.ends[created.id] = end

    async def change_state(self, mailing_id: int, change: Change) -> None:
        """`change` is pause, resume, cancel or delete."""
        await self._ask(change, mailing_id, NO_ORIGIN)

    async def move(self, mailing_id: int, starts_in: float | None, ends_in: float) -> None:
        now = self._clock.now
        end = now + timedelta(seconds=ends_in)
        wanted = MailingFields(expired_at=end)
        if starts_in is not None:
            wanted["starts_at"] = now + timedelta(seconds=starts_in)
        if await self._ask(mailings.change, mailing_id, wanted, NO_ORIGIN):
            self._audit.ends[mailing_id] = end

    async def _ask(
        self,
        change: Callable[Concatenate[AsyncConnection, Given], Awaitable[object]],
        *given: Given.args,
        **named: Given.kwargs,
    ) -> bool:
        """Return False if the API refused the change."""
        try:
            async with transaction(self._engine) as connection:
                await change(connection, *given, **named)
                await connection.execute(_STOPPED_NOW, {"now": self._clock.now, "beginning": BEGINNING})
        except Refusal:
            return False
        return True

    # The planners

    async def expand_once(self) -> bool:
        """A batch of every mailing that is due; whether there was anything to do."""
        async with transaction(self._engine) as connection:
            found = await find_due_mailings(connection, self._clock.now)
            due = [*found.starting, *found.started]
        for mailing_id in due:
            if mailing_id not in self._audit.audiences:
                await self.look()
                audience = {client_id for client_id, tag in self.ledger.clients.items() if tag == TAG}
                self._audit.fix_audience(mailing_id, audience)
            chunk, batch = self._settings.chunk_size, self._settings.expand_batch
            await expansion.expand_batch(self._engine, mailing_id, chunk=chunk, batch=batch, now=self._clock.now)
        return bool(due)

    async def expand_all(self) -> None:
        while await self.expand_once():
            pass

    async def release(self, fates: Iterable[Fate] = ()) -> int:
        """One turn; `fates` are those of the jobs that are published, by turns."""
        self.wire.fates, self.wire.handed_out = [*fates] or [Fate.ARRIVES], []
        publisher = cast("Publisher", self.wire)
        released = await release(self._engine, publisher, self._settings, now=self._clock.now) or 0
        if self.wire.handed_out:
            await self._check_handed_out(self.wire.handed_out)
        return released

    async def stall_before_publishing(self, mailing_id: int, messages_: int) -> None:
        """A planner stamps jobs released, and does not publish them yet."""
        now = self._clock.now
        async with transaction(self._engine) as connection:
            jobs = await claim(connection, {mailing_id: messages_}, now + self._settings.lease, now)
        await self._check_handed_out(jobs)
        self.stalled += sorted(jobs, key=lambda job: job.job_id)

    async def go_on_publishing(self, job: Job, fate: Fate) -> None:
        self.stalled.remove(job)
        if fate is Fate.REFUSED:
            await put_back(self._engine, [job], self._clock.now)
        elif fate is not Fate.LOST:
            self.wire.queue(job)

    async def _check_handed_out(self, jobs: Iterable[Job]) -> None:
        await self.look()
        live = {*self.wire.live(self._clock.now)}
        live |= {(m.id, job) for job in self.stalled if self._clock.now < job.lease_until for m in job.messages}
        others = defaultdict(list)
        for message_id, job in live:
            others[message_id].append((job.job_id, job.release))
        for job in jobs:
            self._audit.check_handed_out(job, self.ledger)
            for message in job.messages:
                elsewhere = [*filter((job.job_id, job.release).__ne__, others[message.id])]
                assert not elsewhere, f"message {message.id} is in {elsewhere} and {job}"

    async def record(self, count: int, *, acknowledged: bool) -> None:
        """A batch of reports. Without the acknowledgement the planner died after the commit: they come again."""
        received = self.wire.reports[:count]
        if acknowledged:
            del self.wire.reports[:count]
        final_before = set(self._audit.finals)
        now, chunk = self._clock.now, self._settings.chunk_size
        notes, self.wire.notes = self.wire.notes, []
        if batch := [*notes, *(one for one in received if isinstance(one, Report))]:
            await recording.record(self._engine, batch, now=now, policy=self._settings.policy(), chunk=chunk)
        if overdue := [one.before for one in received if isinstance(one, Reclaim)]:
            await reaping.reclaim(self._turn(), max(overdue))
        await self.look()
        self._attempts |= {told for report in batch for told in _attempts_of(report)}
        for message_id in _accepted(batch) - final_before:
            message = self.ledger.messages.get(message_id)
            assert message is None or message.status == MessageStatus.SENT, f"was accepted: {message}"

    async def reap(self, step: Step) -> bool:
        return await step(self._turn())

    async def ask_to_reclaim(self) -> None:
        """Enqueue a reclaim behind all earlier reports. A later report may come too late."""
        if await reaping.has_overdue_jobs(self._turn()):
            before = self._clock.now - self._settings.lease_margin
            self.wire.publish_report(Reclaim(before=before))
            for run in (run for sender in self.wire.senders for run in sender.runs):
                if run.job.lease_until < before:
                    self._provider.doubtful |= run.untold

    def _turn(self) -> reaping.ReapRound:
        return reaping.ReapRound(self._engine, self._settings, self._clock.now)

    # The wire

    async def relay(self) -> None:
        """The outbox."""
        while await relay_batch(self._engine, cast("Publisher", self.wire)):
            pass

    def lose_report(self, report: Report | Reclaim) -> None:
        self.wire.reports.remove(report)
        if isinstance(report, Report):
            self._provider.doubtful |= _spoken_of(report)

    def delay_report(self, report: Report | Reclaim) -> None:
        """Put a report behind later ones and reclaims, which a queue would not do."""
        self.lose_report(report)
        self.wire.reports.append(report)

    # The senders

    async def start_sender(self) -> None:
        self._names += 1
        stops = await self._stops_in_force()
        self.wire.senders.append(
            Sender(f"sender{self._names}", self._clock, self._provider, stops, self.wire.note)
        )

    async def _stops_in_force(self) -> Stops:
        """As a planner answers a sender that asks."""
        since = self._clock.now - self._settings.lease - self._settings.lease_margin
        async with autocommitted(self._reading) as connection:
            return Stops(revisions=await find_stops(connection, since))

    def take(self, sender: Sender, waiting: Waiting) -> None:
        self.wire.jobs.remove(waiting)
        sender.take(waiting.job, redelivered=waiting.redelivered)

    def deliver(self, sender: Sender, run: Run, found: Circumstances) -> None:
        """One message."""
        sender.deliver(run, found)

    def report(self, sender: Sender, *, confirmed: bool = True) -> None:
        report = sender.report(confirmed=confirmed)
        if report is not None:
            self.wire.publish_report(report)

    def kill(self, sender: Sender) -> None:
        self.wire.requeue(sender, self._provider)
        self.wire.senders.remove(sender)

    def terminate(self, sender: Sender) -> None:
        """It gives back what it has not begun, and tells all."""
        sender.stopping = True
        self._deliver_all(sender)
        self.report(sender)
        self.kill(sender)

    def cut_off(self, sender: Sender) -> None:
        """Its connection is gone, and it does not know yet."""
        self.wire.requeue(sender, self._provider)
        sender.connected = False

    async def reconnect(self, sender: Sender) -> None:
        sender.lose()
        sender.connected = True
        sender.inbox.clear()
        sender.hear(await self._stops_in_force())

    def _deliver_all(self, sender: Sender) -> None:
        for run in sender.runs:
            while run.todo:
                self.deliver(sender, run, Circumstances([Answer.TAKES]))

    # The end

    async def come_to_rest(self, end: End) -> None:
        """From here on nothing goes wrong, and all must come to its end."""
        await self._begin_the_end(end)
        await self.look()
        hopeful = {
            mailing.id
            for mailing in self.ledger.mailings.values()
            if mailing.has_time and not (mailing.paused or mailing.finished or mailing.is_over)
        }
        final_before = set(self._audit.finals)
        for seconds in WAITS:
            if any(not mailing.finished for mailing in self.ledger.mailings.values() if mailing.id in hopeful):
                self.pass_time(seconds)
                await self._work()
        self._check_that_no_time_was_wasted(hopeful, final_before)
        for seconds in UNTIL_ALL_IS_OVER:
            self.pass_time(seconds)
            await self._work()
        await self._check_that_all_is_at_rest()

    async def _begin_the_end(self, end: End) -> None:
        for job in [] if end is End.ALL_IS_LOST else self.stalled:
            self.wire.queue(job)
        if end is not End.WELL:
            for sender in [*self.wire.senders]:
                for run in sender.busy:
                    self.deliver(sender, run, Circumstances([Answer.TAKES]))
                if end is End.ALL_IS_LOST:
                    self.report(sender)
                self.kill(sender)
        if end is End.ALL_IS_LOST:
            for report in [*self.wire.reports]:
                self.lose_report(report)
            self.wire.jobs.clear()
        for sender in self.wire.senders:
            if not sender.connected:
                await self.reconnect(sender)
        if not self.wire.senders:
            await self.start_sender()

    async def _work(self) -> None:
        await self.expand_all()
        await self.relay()
        for sender in self.wire.senders:
            sender.hear_all()
        await self.ask_to_reclaim()
        await self._send()
        while await self.release():
            await self._send()
        while await self.reap(reaping.reap):
            pass
        await self.look()

    async def _send(self) -> None:
        for waiting in [*self.wire.jobs]:
            self.take(self.wire.senders[0], waiting)
        for sender in self.wire.senders:
            self._deliver_all(sender)
            self.report(sender)
        if self.wire.reports:
            await self.record(len(self.wire.reports), acknowledged=True)

    def _check_that_no_time_was_wasted(self, hopeful: set[int], final_before: set[int]) -> None:
        ends = {MessageStatus.SENT, MessageStatus.FAILED}
        if not self._provider.idempotent:
            ends.add(MessageStatus.UNCERTAIN)
        for message in self.ledger.messages.values():
            if message.id in final_before or message.client_id not in self.ledger.clients:
                continue
            if message.mailing_id in hopeful:
                assert message.status in ends, f"there was time enough: {message}"

    async def _check_that_all_is_at_rest(self) -> None:
        ledger = self.ledger
        assert all(message.is_final for message in ledger.messages.values())
        assert not ledger.open_jobs()
        assert not self.wire.jobs
        for mailing in ledger.mailings.values():
            assert mailing.state in {MailingState.FINISHED, MailingState.CANCELED}, mailing
            assert mailing.finished, mailing
        async with autocommitted(self._reading) as connection:
            for message in ledger.messages.values():
                told = await messages.find(connection, message.id)
                assert told.status == message.status
                if message.status == MessageStatus.SENT:
                    assert Outcome.ACCEPTED in {attempt.outcome for attempt in told.attempts}, told
            kept = {(row.message_id, row.at_ms) for row in await connection.execute(_ATTEMPTS)}
        lost = {attempt for attempt in self._attempts - kept if attempt[0] in ledger.messages}
        assert not lost, f"attempts that were reported and are not to be seen: {lost}"


def _spoken_of(report: Report) -> set[int]:
    plain = {word.message_id for part in report.jobs for word in part.accepted}
    return plain | {result.message_id for part in report.jobs for result in part.results}


def _accepted(reports: Iterable[Report]) -> set[int]:
    parts = [part for report in reports for part in report.jobs]
    plain = {word.message_id for part in parts for word in part.accepted}
    return plain | {r.message_id for part in parts for r in part.results if r.outcome is Outcome.ACCEPTED}


def _attempts_of(report: Report) -> Iterator[tuple[int, int]]:
    for part in report.jobs:
        for result in part.results:
            for attempt in result.attempts:
                yield result.message_id, attempt.at_ms
