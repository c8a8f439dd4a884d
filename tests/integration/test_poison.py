"""Poison: a message that cannot be handled moves to the dead letters with its reason, and delays no other."""

import asyncio
import os
import pty
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from secrets import token_bytes

import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from prometheus_client import REGISTRY
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner import recording
from services.planner.consumers import Received, ReportConsumer, StopsResponder, consume_events
from services.planner.observer import DEFAULT_OBSERVER
from services.planner.settings import PlannerSettings
from services.sender.held_job import HeldJob
from services.sender.main import run_sender
from services.sender.settings import SenderSettings
from services.sender.worker_pool import WorkerPool
from shared.broker.connection import close, connect
from shared.broker.dead_letter_admin import Action, Choice, handle_dead_letters
from shared.broker.dead_letters import DeadLetter
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.contracts import (
    RECLAIM_HEADERS,
    Acceptance,
    Event,
    EventKind,
    Job,
    JobMessage,
    JobReport,
    Reclaim,
    Report,
    Stops,
    utc_now,
)
from shared.database.transactions import transaction
from shared.topology import (
    CONTROL,
    EVENTS,
    JOBS,
    PLANNER_EVENTS,
    PLANNER_REPORTS,
    REPORTS,
    SENDER_JOBS,
    TIMEOUT,
    declare,
)
from tests.e2e.system import until
from tests.integration.ledger import add_clients, add_mailing, claim, counters, expand_all, query
from tests.sandbox import Sandbox

NOW_MS = 1_790_000_000_000
NUMBER = 79_050_000_000
TEXT = "Ваш заказ готов"

pytestmark = pytest.mark.usefixtures("clean_broker")

GARBAGE = (b"\x00\xff\x1b[2J garbage 79057003050", "Invalid JSON")
OTHER_SHAPE = (b'["a", 79057003050]', "Input should be an object")


@dataclass
class Broker:
    """The broker, with the operations that the tests need."""

    url: SecretStr
    publisher: Publisher

    async def reclaim(self, body: bytes) -> None:
        await self.publisher.publish(REPORTS, "report", body, headers={**RECLAIM_HEADERS})

    async def report(self, *bodies: bytes) -> None:
        for body in bodies:
            await self.publisher.publish(REPORTS, "report", body)

    async def dead_letters(self, queue: str) -> list[DeadLetter]:
        """Return the dead letters of the queue."""
        found: list[DeadLetter] = []
        await handle_dead_letters(self.url, Action.LIST, Choice([queue]), found.append)
        return found

    async def until_dead(self, queue: str, count: int) -> list[DeadLetter]:
        """Wait for exactly so many dead letters, and for an empty queue."""

        async def so_many() -> bool:
            return len(await self.dead_letters(queue)) == count

        await until(so_many, timeout=20, what=f"{queue} has {count} dead letters")
        return await self.dead_letters(queue)

    async def has_handed_out_all_reports(self) -> bool:
        """Return True if no report waits in the queue: the consumer has them."""
        connection = await connect(self.url, "tests")
        channel = await connection.channel()
        queue = await channel.declare_queue(PLANNER_REPORTS, passive=True, timeout=TIMEOUT)
        await close(connection)
        return queue.declaration_result.message_count == 0

    async def take_all(self, queue: str) -> list[bytes]:
        """Take all messages out of the queue, and return their bodies."""
        return [message.body for message in await self.take_messages(queue)]

    async def take_messages(self, queue: str) -> list[AbstractIncomingMessage]:
        """Take all messages out of the queue."""
        connection = await connect(self.url, "tests")
        channel = await connection.channel()
        await declare(channel)
        arrived: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()

        async def on_message(message: AbstractIncomingMessage) -> None:
            arrived.put_nowait(message)

        # Not with basic.get: a queue with a single active consumer refuses it.
        end = token_bytes()
        await self.publisher.publish("", queue, end)
        await (await channel.get_queue(queue, ensure=False)).consume(on_message, no_ack=True, timeout=TIMEOUT)
        found: list[AbstractIncomingMessage] = []
        while (message := await asyncio.wait_for(arrived.get(), 20)).body != end:
            found.append(message)
        await close(connection)
        return found

    @asynccontextmanager
    async def session(
        self, session: Callable[[AbstractChannel, asyncio.Event], Awaitable[None]]
    ) -> AsyncIterator[None]:
        """Run a service's session with the broker while the block runs."""
        stopping = asyncio.Event()
        running = asyncio.create_task(
            run_sessions(self.url, "tests session", lambda channel: session(channel, stopping), stopping)
        )
        try:
            yield
        finally:
            stopping.set()
            await asyncio.wait_for(running, 15)


@pytest.fixture
async def broker(broker_url: str) -> AsyncIterator[Broker]:
    url = SecretStr(broker_url)
    publisher = Publisher(url, "planner@test publisher")
    yield Broker(url, publisher)
    await publisher.close()


def counted(queue: str) -> float:
    return REGISTRY.get_sample_value("mailing_dead_letters_total", {"queue": queue}) or 0.0


# Reports


@dataclass
class Planner:
    """Part of a planner that records reports, on a real ledger."""

    engine: AsyncEngine
    broker: Broker
    settings: PlannerSettings
    batches: list[int] = field(default_factory=list)  # number of reports in each
    reclaims: list[Reclaim] = field(default_factory=list)
    may_record: asyncio.Event = field(default_factory=asyncio.Event)

    async def released(self, count: int, first: int = NUMBER) -> tuple[int, list[Job]]:
        """Create a mailing, and release its jobs."""
        await add_clients(self.engine, count, tag=f"#{first}", first=first)
        mailing = await add_mailing(self.engine, tag=f"#{first}")
        await expand_all(self.engine, mailing, self.settings)
        now = utc_now()
        async with transaction(self.engine) as connection:
            jobs = await claim(connection, {mailing: count}, now + timedelta(minutes=1), now)
        return mailing, jobs

    async def record(self, received: list[Received]) -> None:
        reports = [one for one in received if isinstance(one, Report)]
        self.reclaims += [one for one in received if isinstance(one, Reclaim)]
        self.batches.append(len(reports))
        await self.may_record.wait()
        await recording.record(
            self.engine, reports, now=utc_now(), policy=self.settings.policy(), chunk=self.settings.chunk_size
        )

    def taking_reports(
        self, publisher: Publisher | None = None
    ) -> Callable[[AbstractChannel, asyncio.Event], Awaitable[None]]:
        async def session(channel: AbstractChannel, stopping: asyncio.Event) -> None:
            reports = ReportConsumer(self.record, publisher or self.broker.publisher, DEFAULT_OBSERVER)
            await reports.consume(channel, stopping)

        return session

    async def until_sent(self, mailing: int, count: int) -> None:
        async def sent() -> bool:
            statement = "SELECT sent FROM counters WHERE mailing_id = :id"
            return await query(self.engine, statement, id=mailing) == [(count,)]

        await until(sent, timeout=20, what=f"{count} messages of mailing {mailing} are recorded as sent")
        assert await counters(self.engine, mailing) == {"sent": count}


@pytest.fixture
def planner(engine: AsyncEngine, broker: Broker, settings: PlannerSettings) -> Planner:
    planner = Planner(engine, broker, settings)
    planner.may_record.set()
    return planner


def accepted(job: Job) -> bytes:
    """Return the body of a report that all messages of a job were accepted."""
    words = tuple(Acceptance(message.id, NOW_MS, 3) for message in job.messages)
    part = JobReport(job_id=job.job_id, release=job.release, mailing_id=job.mailing_id, accepted=words)
    return Report(sender="sender@test", jobs=(part,)).model_dump_json().encode()


def report(words: str, *, sender: str = "sender@test", version: int = 1, results: str = "[]") -> bytes:
    return (
        f'{{"version": {version}, "sender": "{sender}", "jobs": [{{"job_id": 1, "release": 1, "mailing_id": 1,'
        f' "accepted": {words}, "results": {results}}}]}}'
    ).encode()


def result(attempts: str, retry_after: str = "null") -> str:
    return f'[{{"message_id": 1, "outcome": "deferred", "attempts": {attempts}, "retry_after": {retry_after}}}]'


BAD_REPORTS = [
    pytest.param(*GARBAGE, id="garbage"),
    pytest.param(*OTHER_SHAPE, id="another shape"),
    pytest.param(b"", "Invalid JSON", id="nothing"),
    pytest.param(b'{"sender": "s"}', "jobs: Field required", id="a field missing"),
    pytest.param(report("[]", version=2), "version: Input should be 1", id="version 2"),
    pytest.param(report(f"[[1, {10**17}, 3]]"), "jobs.0.accepted.0.1", id="an instant beyond PostgreSQL's"),
    pytest.param(report("[[1, -1, 3]]"), "jobs.0.accepted.0.1", id="an instant before the epoch"),
    pytest.param(report(f"[[{2**63}, {NOW_MS}, 3]]"), "jobs.0.accepted.0.0", id="an id beyond int64"),
    pytest.param(report(f"[[1, {NOW_MS}, {2**31}]]"), "jobs.0.accepted.0.2", id="a duration beyond int32"),
    pytest.param(report("[]", sender="a\\u0000"), "sender: String should match", id="NUL"),
    pytest.param(
        report("[]", results=result(f'[[{NOW_MS}, 3, "deferred", 503, "a\\u0000"]]')),
        "attempts.0.4: String should match",
        id="NUL of the provider",
    ),
    pytest.param(
        report("[]", results=result(f'[[{NOW_MS}, 3, "deferred", 70000, null]]')),
        "attempts.0.3",
        id="status 70000",
    ),
    pytest.param(report("[]", results=result("[]", "1e300")), "retry_after", id="an endless wait"),
    pytest.param(report("[]", results=result("[]", "NaN")), "retry_after", id="a wait that is no number"),
]


@pytest.mark.parametrize(("bad", "reason"), BAD_REPORTS)
async def test_a_report_that_cannot_be_parsed_becomes_a_dead_letter_and_those_around_it_are_recorded(
    planner: Planner, broker: Broker, bad: bytes, reason: str
) -> None:
    mailing, (first, second) = await planner.released(20)
    before = counted(PLANNER_REPORTS)
    await broker.report(accepted(first), bad, accepted(second))
    async with broker.session(planner.taking_reports()):
        await planner.until_sent(mailing, 20)
        (dead,) = await broker.until_dead(PLANNER_REPORTS, 1)
    assert dead.body == bad
    assert reason in dead.reason
    assert dead.by == "planner@test"
    assert dead.queue == PLANNER_REPORTS
    assert counted(PLANNER_REPORTS) == before + 1
    assert await broker.take_all(PLANNER_REPORTS) == []


async def test_a_reclaim_is_distinguished_from_the_reports_around_it(planner: Planner, broker: Broker) -> None:
    mailing, (first, second) = await planner.released(20)
    reclaim = Reclaim(before=utc_now())
    await broker.report(accepted(first))
    await broker.reclaim(reclaim.model_dump_json().encode())
    await broker.reclaim(b"{}")
    await broker.report(accepted(second))
    async with broker.session(planner.taking_reports()):
        await planner.until_sent(mailing, 20)
        (dead,) = await broker.until_dead(PLANNER_REPORTS, 1)
    assert planner.reclaims == [reclaim]
    assert "not a valid Reclaim: before: Field required" in dead.reason


async def test_many_bad_reports_delay_no_good_one_and_none_is_lost(planner: Planner, broker: Broker) -> None:
    mailing, jobs = await planner.released(400)
    bodies = [body for number, job in enumerate(jobs) for body in (b"bad %d" % number, accepted(job))]
    await broker.report(*bodies)
    async with broker.session(planner.taking_reports()):
        await planner.until_sent(mailing, 400)
        dead = await broker.until_dead(PLANNER_REPORTS, 40)
    assert [letter.body for letter in dead] == [b"bad %d" % number for number in range(40)]
    assert await broker.take_all(PLANNER_REPORTS) == []


async def test_the_broker_moves_a_message_whose_reason_cannot_be_published(
    planner: Planner, broker: Broker
) -> None:
    mailing, (first, second) = await planner.released(20)
    await broker.report(accepted(first), b"bad", accepted(second))
    mute = Publisher(SecretStr("amqp://127.0.0.1:1/"), "planner@test publisher")
    async with broker.session(planner.taking_reports(mute)):
        await planner.until_sent(mailing, 20)
        (dead,) = await broker.until_dead(PLANNER_REPORTS, 1)
    assert (dead.body, dead.by, dead.reason) == (b"bad", "RabbitMQ", "rejected")
    assert await broker.take_all(PLANNER_REPORTS) == []


async def test_a_report_that_cannot_be_recorded_can_be_put_back_after_the_repair(
    planner: Planner, broker: Broker
) -> None:
    good, (earlier, first, second) = await planner.released(30)
    odd, (job,) = await planner.released(10, first=79_060_000_000)
    # A ledger out of step: it counts none of the messages as active that this report settles.
    await query(
        planner.engine, "UPDATE counters SET active = 0, new = 10 WHERE mailing_id = :id RETURNING 1", id=odd
    )
    planner.may_record.clear()
    await broker.report(accepted(earlier))
    async with broker.session(planner.taking_reports()):

        async def an_earlier_one_is_being_recorded() -> bool:
            return planner.batches == [1]

        await until(an_earlier_one_is_being_recorded, timeout=20, what="the others come while another is recorded")
        await broker.report(accepted(first), accepted(job), accepted(second))
        await until(broker.has_handed_out_all_reports, timeout=20, what="the three are with the planner")
        planner.may_record.set()
        await planner.until_sent(good, 30)
        (dead,) = await broker.until_dead(PLANNER_REPORTS, 1)
        assert dead.body == accepted(job)
        assert 'violates check constraint "not_negative"' in dead.reason
        assert "recording.py" in dead.reason or "counters.py" in dead.reason
        assert "Failing row" not in dead.reason
        assert planner.batches[1] == 3, "they were one batch"

        # Put back too early it comes again.
        assert await command(broker, "put-back", "--yes") == (0, [dead.line(), "dead-letters: put_back=1"])
        (again,) = await broker.until_dead(PLANNER_REPORTS, 1)
        assert (again.body, again.reason) == (dead.body, dead.reason)
        assert again.at > dead.at

        await query(
            planner.engine, "UPDATE counters SET active = 10, new = 0 WHERE mailing_id = :id RETURNING 1", id=odd
        )
        await command(broker, "put-back", "--yes")
        await planner.until_sent(odd, 10)
    assert await broker.dead_letters(PLANNER_REPORTS) == []


# Events


async def test_an_event_that_cannot_be_handled_becomes_a_dead_letter_and_the_next_is_handled(
    broker: Broker,
) -> None:
    heard: list[int] = []

    def hear(event: Event) -> None:
        if event.mailing_id == 13:
            raise LookupError("no mailing '13'")
        heard.append(event.mailing_id)

    async def session(channel: AbstractChannel, stopping: asyncio.Event) -> None:
        await consume_events(channel, hear, broker.publisher, stopping)

    async def good_ones_are_heard() -> bool:
        return heard == [1, 2]

    bad = {
        GARBAGE[0]: GARBAGE[1],
        OTHER_SHAPE[0]: OTHER_SHAPE[1],
        b'{"version": 2, "kind": "mailing.created", "mailing_id": 1}': "version: Input should be 1",
        b'{"kind": "mailing.eaten", "mailing_id": 1}': "kind: Input should be",
        b'{"kind": "mailing.created", "mailing_id": 9223372036854775808}': "mailing_id: Input should be less",
        event(13): "LookupError at consumers.py",
    }
    for body in (event(1), *bad, event(2)):
        await broker.publisher.publish(EVENTS, "mailing.created", body)
    async with broker.session(session):
        await until(good_ones_are_heard, timeout=20, what="the good events are heard")
        dead = {letter.body: letter.reason for letter in await broker.until_dead(PLANNER_EVENTS, len(bad))}
    assert dead.keys() == bad.keys()
    assert all(reason in dead[body] for body, reason in bad.items())
    assert await broker.take_all(PLANNER_EVENTS) == []


def event(mailing_id: int) -> bytes:
    return Event(kind=EventKind.MAILING_CREATED, mailing_id=mailing_id).model_dump_json().encode()


# Jobs and stops


def job(mailing_id: int, *numbers: int, revision: int = 0) -> bytes:
    now = utc_now()
    return (
        Job(
            job_id=mailing_id,
            release=1,
            mailing_id=mailing_id,
            revision=revision,
            text=TEXT,
            send_before=now + timedelta(minutes=1),
            lease_until=now + timedelta(minutes=1),
            messages=tuple(JobMessage(number - NUMBER, number) for number in numbers),
        )
        .model_dump_json()
        .encode()
    )


@asynccontextmanager
async def sender(broker: Broker, engine: AsyncEngine, sandbox: Sandbox) -> AsyncIterator[None]:
    """Run a real sender, and the part of a planner that answers its question."""
    await sandbox.reset()
    settings = SenderSettings.model_validate(
        {
            "broker_url": broker.url,
            "provider_url": sandbox.url,
            "provider_token": SecretStr(sandbox.token),
            "sender_prefetch": 2,
            "host_name": "test",
        }
    )

    async def answering(channel: AbstractChannel, stopping: asyncio.Event) -> None:
        stops = StopsResponder(engine, broker.publisher, timedelta(minutes=1), DEFAULT_OBSERVER)
        await stops.consume(channel, stopping)

    stopping = asyncio.Event()
    async with broker.session(answering):
        running = asyncio.create_task(run_sender(settings, stopping))
        try:
            yield
        finally:
            stopping.set()
            await asyncio.wait_for(running, 15)


async def until_received(sandbox: Sandbox, *numbers: int) -> None:
    async def all_came() -> bool:
        return {message.phone for message in await sandbox.control.messages()} >= set(numbers)

    await until(all_came, timeout=20, what="the provider has got the good messages")


async def test_a_job_that_cannot_be_parsed_becomes_a_dead_letter_and_the_next_is_sent(
    broker: Broker, engine: AsyncEngine, sandbox: Sandbox
) -> None:
    good, version_2 = job(1, NUMBER + 1, NUMBER + 2), job(2, NUMBER + 3).replace(b'"version":1', b'"version":2')
    bad = {
        GARBAGE[0]: GARBAGE[1],
        OTHER_SHAPE[0]: OTHER_SHAPE[1],
        version_2: "version: Input should be 1",
        good[:-9]: "Invalid JSON",
        # Would never be acknowledged: a sender could take no others after a few of these.
        job(3, NUMBER + 4).replace(b"[[4,79050000004]]", b"[]"): "messages: Tuple should have at least 1 item",
        job(4, NUMBER + 5).replace(b"79050000005", b"9" * 20): "messages.0.1: Input should be less than",
    }
    for body in (*bad, good):
        await broker.publisher.publish(JOBS, "job", body)
    async with sender(broker, engine, sandbox):
        await until_received(sandbox, NUMBER + 1, NUMBER + 2)
        letters = await broker.until_dead(SENDER_JOBS, len(bad))
    dead = {letter.body: letter.reason for letter in letters}
    assert dead.keys() == bad.keys()
    assert all(reason in dead[body] for body, reason in bad.items())
    assert all(letter.by.startswith("sender@test:") for letter in letters)
    told = "\n".join(letter.line() for letter in letters)
    assert TEXT not in told
    assert "7905000000" not in told
    assert len(await sandbox.control.messages()) == 2
    assert await broker.take_all(SENDER_JOBS) == []


async def test_a_job_that_fails_on_arrival_becomes_a_dead_letter_and_nothing_of_it_is_sent(
    broker: Broker, engine: AsyncEngine, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job = WorkerPool.add_job

    def add_most(self: WorkerPool, held_job: HeldJob) -> None:
        add_job(self, held_job)
        if held_job.job.mailing_id == 13:
            raise RuntimeError("a fault")

    monkeypatch.setattr(WorkerPool, "add_job", add_most)
    await broker.publisher.publish(JOBS, "job", job(13, NUMBER + 13))
    await broker.publisher.publish(JOBS, "job", job(1, NUMBER + 1))
    async with sender(broker, engine, sandbox):
        await until_received(sandbox, NUMBER + 1)
        (dead,) = await broker.until_dead(SENDER_JOBS, 1)
    assert dead.reason.startswith("RuntimeError at consumer.py")
    assert [message.phone for message in await sandbox.control.messages()] == [NUMBER + 1]


async def test_a_stop_that_cannot_be_parsed_is_skipped_and_the_next_is_in_force(
    broker: Broker, engine: AsyncEngine, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stops: list[Mapping[int, int]] = []
    stop_mailings = WorkerPool.stop_mailings

    def stop(self: WorkerPool, revisions: Mapping[int, int], epoch: int = 0) -> None:
        stops.append(revisions)
        stop_mailings(self, revisions, epoch)

    async def began() -> bool:
        return stops == [{}]

    async def stopped() -> bool:
        return stops == [{}, {1: 5}]

    monkeypatch.setattr(WorkerPool, "stop_mailings", stop)
    async with sender(broker, engine, sandbox):
        await until(began, timeout=20, what="the sender knows the stops")
        for body in (GARBAGE[0], b'{"version": 2, "revisions": {}}', b'{"revisions": {"1": 99999999999}}'):
            await broker.publisher.publish(CONTROL, "", body, mandatory=False)
        await broker.publisher.publish(CONTROL, "", Stops(revisions={1: 5}).model_dump_json().encode())
        await until(stopped, timeout=20, what="the good stop is in force")
        await broker.publisher.publish(JOBS, "job", job(1, NUMBER + 1, revision=4))
        await broker.publisher.publish(JOBS, "job", job(2, NUMBER + 2))
        await until_received(sandbox, NUMBER + 2)
    assert [message.phone for message in await sandbox.control.messages()] == [NUMBER + 2]


# The command


async def start(broker: Broker, *arguments: str, stdin: int | None = None) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "shared.cli", "dead-letters", *arguments),
        env={**os.environ, "MAILING_BROKER_URL": broker.url.get_secret_value()},
        stdin=asyncio.subprocess.DEVNULL if stdin is None else stdin,
        stdout=PIPE,
    )


async def command(broker: Broker, *arguments: str) -> tuple[int | None, list[str]]:
    """Run `dead-letters`. Return its exit status and its lines."""
    process = await start(broker, *arguments)
    out, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, out.decode().splitlines()


async def refused(broker: Broker, *bodies: bytes) -> list[DeadLetter]:
    """Fill the dead letters of the queue of reports, by reports that a planner refuses."""

    async def session(channel: AbstractChannel, stopping: asyncio.Event) -> None:
        await ReportConsumer(never, broker.publisher, DEFAULT_OBSERVER).consume(channel, stopping)

    async def never(received: list[Received]) -> None:
        raise AssertionError("none of them is a report")

    await broker.report(*bodies)

    async def all_are_dead() -> bool:
        return {letter.body for letter in await broker.dead_letters(PLANNER_REPORTS)} >= set(bodies)

    async with broker.session(session):
        await until(all_are_dead, timeout=20, what="all of them are dead letters")
    return await broker.dead_letters(PLANNER_REPORTS)


async def test_the_command_lists_dead_letters_without_private_data(broker: Broker) -> None:
    dead = await refused(broker, *(b'%d, "79057003050"' % number for number in range(1, 13)), job(7, NUMBER))
    status, lines = await command(broker)
    assert status == 0
    assert lines == [*(letter.line() for letter in dead), "dead-letters: listed=13"]
    queue, id_, at, who, reason, size, beginning = lines[2].split(" | ")
    assert (queue, id_, at, who, size) == (PLANNER_REPORTS, dead[2].id, dead[2].at, "planner@test", "16 bytes")
    assert reason.startswith("not a valid Report: Invalid JSON")
    assert beginning == '3, "7905*****50"'
    assert lines[12].endswith("version=1 job_id=7 mailing_id=7")
    assert TEXT not in "".join(lines)


async def test_listing_changes_nothing(broker: Broker) -> None:
    dead = await refused(broker, *(b"%d" % number for number in range(8)))
    _, lines = await command(broker)
    assert (await command(broker, "--limit", "3"))[1] == [*lines[:3], "dead-letters: listed=3"]
    assert await command(broker, "list", "--id", dead[5].id) == (0, [lines[5], "dead-letters: listed=1"])
    assert (await command(broker, "--queue", SENDER_JOBS))[1] == ["dead-letters: listed=0"]
    assert await command(broker) == (0, lines), "not what there is, nor what it is called, nor the order"


async def test_the_command_puts_one_back_and_drops_others(broker: Broker) -> None:
    first, second, third, fourth = await refused(broker, b"1", b"2", b"3", b"4")
    assert await command(broker, "put-back", "--id", second.id, "--yes") == (
        0,
        [second.line(), "dead-letters: put_back=1"],
    )
    assert await broker.take_all(PLANNER_REPORTS) == [b"2"]
    assert await command(broker, "drop", "--id", first.id, "--yes") == (
        0,
        [first.line(), "dead-letters: dropped=1"],
    )
    assert await broker.dead_letters(PLANNER_REPORTS) == [third, fourth]
    assert await command(broker, "drop", "--id", first.id, "--yes") == (1, ["dead-letters: dropped=0"])
    assert (await command(broker, "drop", "--limit", "1", "--yes"))[1][-1] == "dead-letters: dropped=1"
    assert len(await broker.dead_letters(PLANNER_REPORTS)) == 1
    assert (await command(broker, "drop", "--id", "all", "--yes"))[1][-1] == "dead-letters: dropped=1"
    assert await broker.dead_letters(PLANNER_REPORTS) == []


async def test_a_message_that_is_put_back_is_as_it_was_at_first(broker: Broker) -> None:
    await broker.publisher.publish(
        REPORTS, "report", b"bad", headers={"traceparent": "00-a-b-01", "x-reason": "none"}
    )
    await refused(broker, b"worse")
    assert (await command(broker, "put-back", "--yes"))[1][-1] == "dead-letters: put_back=2"
    messages = await broker.take_messages(PLANNER_REPORTS)
    assert [(message.body, message.headers) for message in messages] == [
        (b"bad", {"traceparent": "00-a-b-01"}),
        (b"worse", {}),
    ]


async def test_without_yes_the_command_asks_at_a_terminal_or_does_nothing(broker: Broker) -> None:
    dead = await refused(broker, b"1", b"2")
    assert await command(broker, "drop") == (2, [])
    for answer, left in ((b"n\n", 2), (b"\x04", 2), (b"y\n", 0)):
        terminal, stdin = pty.openpty()
        os.write(terminal, answer)
        process = await start(broker, "drop", stdin=stdin)
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        lines = out.decode().splitlines()
        os.close(terminal)
        os.close(stdin)
        assert lines[:2] == [letter.line() for letter in dead]
        assert lines[2].startswith("drop these 2? [y/N] ")
        assert lines[-1].endswith(f"dead-letters: dropped={2 - left}")
        assert len(await broker.dead_letters(PLANNER_REPORTS)) == left


async def test_the_command_killed_in_the_middle_loses_nothing(broker: Broker) -> None:
    bodies = {b"bad %d" % number for number in range(150)}
    await refused(broker, *bodies)
    process = await start(broker, "put-back", "--yes")
    assert process.stdout is not None
    for _ in range(20):
        await process.stdout.readline()
    with suppress(ProcessLookupError):
        process.kill()
    await process.communicate()
    put_back: list[bytes] = []

    async def all_are_somewhere() -> bool:
        put_back.extend(await broker.take_all(PLANNER_REPORTS))
        dead = [letter.body for letter in await broker.dead_letters(PLANNER_REPORTS)]
        return bodies == {*put_back, *dead} and len(put_back) + len(dead) <= len(bodies) + 1

    await until(all_are_somewhere, timeout=20, what="each is in its queue or among the dead letters")
    assert 20 <= len(put_back) < len(bodies), "it was in the middle"


async def test_a_command_that_finds_no_broker_says_so() -> None:
    nowhere = Broker(SecretStr("amqp://127.0.0.1:1/"), Publisher(SecretStr("amqp://127.0.0.1:1/"), "nobody"))
    assert await command(nowhere) == (1, [])
