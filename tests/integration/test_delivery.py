"""A sender's workers over real connections: what is POSTed, what is repeated, and what is handed back.

Instead of RabbitMQ there is a list of the reports.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from aio_pika.abc import AbstractIncomingMessage
from pydantic import AnyHttpUrl, SecretStr
from structlog.testing import LogCapture

from services.sender.adapter import Access
from services.sender.delivery import Delivery
from services.sender.engine import find_route, open_engine
from services.sender.held_job import HeldJob
from services.sender.observer import SenderObserver
from services.sender.providers import load_adapter
from services.sender.reporting import Reporter
from services.sender.send_gate import SendGate
from services.sender.settings import SenderSettings
from services.sender.worker_pool import WorkerPool
from shared.broker.publisher import Publisher
from shared.contracts import REPORT, Job, JobMessage, Outcome
from tests.integration.scripted import Request, answer, scripted
from tests.sandbox import Sandbox

FAR = datetime(2100, 1, 1, tzinfo=UTC)
NUMBER = 79_050_000_000


class Reports:
    """Publisher that never fails, and keeps what was published."""

    def __init__(self) -> None:
        self.outcomes: dict[int, Outcome] = {}
        self.reasons: Counter[str] = Counter()
        self.returned_after: list[float | None] = []

    async def publish(self, exchange: str, routing_key: str, body: bytes) -> None:
        for part in REPORT.validate_json(body).jobs:
            self.outcomes.update({one.message_id: Outcome.ACCEPTED for one in part.accepted})
            for one in part.results:
                self.outcomes[one.message_id] = one.outcome
                if one.reason:
                    self.reasons[one.reason] += 1
                    self.returned_after.append(one.retry_after)


class Acknowledged:
    """A message of RabbitMQ."""

    redelivered = False

    async def ack(self) -> None:
        pass


@dataclass
class Sender:
    """The part of a sender between the broker and the provider."""

    pool: WorkerPool
    reports: Reports
    gate: SendGate
    jobs: int = 0
    held: list[HeldJob] = field(default_factory=list)

    def hand_out(self, mailing_id: int, ids: range, text: str = "hello", revision: int = 1) -> HeldJob:
        self.jobs += 1
        job = Job(
            job_id=self.jobs,
            release=1,
            mailing_id=mailing_id,
            revision=revision,
            text=text,
            send_before=FAR,
            lease_until=FAR,
            messages=tuple(JobMessage(message_id, NUMBER + message_id) for message_id in ids),
        )
        held_job = HeldJob.of(job, cast(AbstractIncomingMessage, Acknowledged()), is_single=False)
        self.held.append(held_job)
        self.pool.add_job(held_job)
        return held_job

    async def until_reported(self, ids: range, *, timeout: float = 20) -> float:
        """Return after how many seconds all of these messages have an outcome."""
        began = time.perf_counter()
        async with asyncio.timeout(timeout):
            while not self.reports.outcomes.keys() >= set(ids):  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        return time.perf_counter() - began


def settings_for(url: str, **others: Any) -> SenderSettings:
    return SenderSettings(
        broker_url=SecretStr("amqp://localhost/"),
        provider_url=AnyHttpUrl(url),
        provider_token=SecretStr("a-token-for-tests"),
        **others,
    )


@asynccontextmanager
async def sending(url: str, **others: Any) -> AsyncIterator[Sender]:
    settings = settings_for(url, **others)
    observer = SenderObserver(settings.message_sample())
    reports = Reports()
    reporter = Reporter(cast(Publisher, reports), observer, sender="test", interval=0.01)
    route = find_route(settings)
    adapter = load_adapter("probe", Access(route.endpoint, settings.provider_token.get_secret_value()))
    gate = SendGate(settings, observer, adapter.is_outage)
    pool = WorkerPool(
        Delivery(adapter, gate, reporter, observer, settings),
        reporter,
        lambda workers, has_work: open_engine(settings, route, workers, has_work),
        workers=settings.sender_concurrency,
        probe_every=settings.breaker_probe_every.total_seconds(),
    )
    tasks = [asyncio.create_task(pool.run()), asyncio.create_task(reporter.run())]
    await asyncio.sleep(0)
    try:
        yield Sender(pool, reports, gate)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=["asyncio", "httpx"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_every_message_of_a_job_is_sent_once(sandbox: Sandbox, engine: str) -> None:
    await sandbox.reset()
    async with sending(sandbox.url, provider_engine=engine) as sender:
        for job in range(5):
            sender.hand_out(1, range(100 * job + 1, 100 * job + 101))
        await sender.until_reported(range(1, 501))
    assert set(sender.reports.outcomes.values()) == {Outcome.ACCEPTED}
    assert [item.count for item in await sandbox.control.messages()] == [1] * 500


# Repeats


@pytest.mark.parametrize("mode", ["error", "garbage", "half", "reset", "hang"])
async def test_a_provider_that_is_not_idempotent_gets_nothing_twice(
    sandbox: Sandbox, engine: str, mode: str
) -> None:
    await sandbox.reset()
    await sandbox.control.behave(mode, share=0.5, seed=5)
    async with sending(
        sandbox.url, provider_engine=engine, provider_idempotent=False, request_timeout=2, breaker_threshold=10_000
    ) as sender:
        sender.hand_out(1, range(1, 101))
        await sender.until_reported(range(1, 101))
    outcomes = Counter(sender.reports.outcomes.values())
    assert outcomes[Outcome.ACCEPTED] > 20
    assert outcomes[Outcome.UNCERTAIN] > 20
    # On a busy machine, a connection may come too late. Such a message has not arrived.
    assert [item.count for item in await sandbox.control.messages()] == [1] * (100 - outcomes[Outcome.DEFERRED])


async def test_a_quick_failure_is_repeated_in_place(sandbox: Sandbox, engine: str) -> None:
    await sandbox.reset()
    await sandbox.control.behave("error", share=0.2, seed=5)
    async with sending(sandbox.url, provider_engine=engine, breaker_threshold=10_000) as sender:
        sender.hand_out(1, range(1, 201))
        await sender.until_reported(range(1, 201))
    outcomes = Counter(sender.reports.outcomes.values())
    assert outcomes[Outcome.ACCEPTED] > 190
    assert max(item.count for item in await sandbox.control.messages()) <= 3


# The circuit breaker


async def answer_by_text(request: Request, writer: asyncio.StreamWriter) -> None:
    await answer(500 if b'"bad"' in request.body else 200)(request, writer)


async def test_a_mailing_that_fails_does_not_stop_its_neighbours(lines: LogCapture) -> None:
    async with scripted(answer_by_text) as server:
        async with sending(server.url, sender_concurrency=16) as sender:
            sender.hand_out(2, range(1, 1001))
            alone = await sender.until_reported(range(1, 1001))
        async with sending(server.url, sender_concurrency=16) as sender:
            for job in range(3):
                sender.hand_out(1, range(10_001 + 100 * job, 10_101 + 100 * job), "bad")
            sender.hand_out(2, range(1, 1001))
            beside = await sender.until_reported(range(1, 1001))
            await sender.until_reported(range(10_001, 10_301))
    bad = [request for request in server.requests if b'"bad"' in request.body]
    assert {sender.reports.outcomes[one] for one in range(1, 1001)} == {Outcome.ACCEPTED}
    assert sender.reports.reasons["circuit_open"] > 200, "most of the bad mailing was handed back unsent"
    assert len(bad) < 100
    assert beside < 1.5 * alone + 1
    [suspended] = [entry for entry in lines.entries if entry["event"] == "mailing_suspended"]
    assert (suspended["mailing_id"], suspended["provider_status"]) == (1, 500)


async def test_an_outage_blocks_all_and_its_end_is_noticed(sandbox: Sandbox, lines: LogCapture) -> None:
    await sandbox.reset()
    await sandbox.control.behave("unavailable")
    async with sending(sandbox.url, sender_concurrency=8, breaker_probe_every=0.2, quick_retries=0) as sender:
        for mailing_id in range(1, 11):
            sender.hand_out(mailing_id, range(100 * mailing_id, 100 * mailing_id + 100))
        async with asyncio.timeout(5):
            while sender.reports.reasons["circuit_open"] < 16:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await sandbox.control.totals()).received < 60
        await sandbox.control.behave()
        await sender.until_reported(range(100, 1100), timeout=5)
    [opened] = [entry for entry in lines.entries if entry["event"] == "circuit_opened"]
    assert opened["provider_status"] == 503
    assert "Unavailable" in opened["cause"]
    assert any(entry["event"] == "circuit_closed" for entry in lines.entries)
    assert Counter(sender.reports.outcomes.values())[Outcome.ACCEPTED] > 700


async def test_the_cause_of_an_outage_without_an_answer_is_named(lines: LogCapture) -> None:
    async with scripted(answer(200)) as server:
        url = server.url
    async with sending(url, sender_concurrency=32) as sender:
        sender.hand_out(1, range(1, 101))
        async with asyncio.timeout(10):
            while not [entry for entry in lines.entries if entry["event"] == "circuit_opened"]:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
    [opened] = [entry for entry in lines.entries if entry["event"] == "circuit_opened"]
    assert "refused" in opened["cause"]


# Pauses of the process


async def test_after_a_pause_nothing_is_sent_before_the_stops_are_known(sandbox: Sandbox) -> None:
    await sandbox.reset()
    await sandbox.control.behave("slow", latency_ms=50)
    async with sending(sandbox.url, sender_concurrency=4) as sender:
        sender.hand_out(1, range(1, 101))
        sender.hand_out(2, range(101, 201))
        await asyncio.sleep(0.3)
        time.sleep(1.5)  # noqa: ASYNC251 - nothing of this process runs
        await sender.pool.wait_for_pause()
        received = (await sandbox.control.totals()).received
        assert received < 100
        await asyncio.sleep(0.3)
        assert (await sandbox.control.totals()).received == received
        sender.pool.stop_mailings({1: 2})
        sender.pool.end_pause(sender.pool.count_pauses())
        await sender.until_reported(range(1, 201))
    assert sender.reports.reasons["stopped"] == 100 - received
    assert [item.count for item in await sandbox.control.messages()] == [1] * (received + 100)


async def test_silence_during_a_pause_of_ours_does_not_open_the_circuit(
    sandbox: Sandbox, lines: LogCapture
) -> None:
    await sandbox.reset()
    await sandbox.control.behave("hang")
    async with sending(sandbox.url, sender_concurrency=40, request_timeout=1, quick_retries=0) as sender:
        sender.hand_out(1, range(1, 41))
        async with asyncio.timeout(5):
            while (await sandbox.control.totals()).received < 40:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        time.sleep(2)  # noqa: ASYNC251
        await sender.until_reported(range(1, 41))
    assert set(sender.reports.outcomes.values()) == {Outcome.UNCERTAIN}
    assert not [entry for entry in lines.entries if entry["event"] == "circuit_opened"]


# The end


async def test_draining_ends_what_is_under_way_and_returns_the_rest(sandbox: Sandbox, engine: str) -> None:
    await sandbox.reset()
    await sandbox.control.behave("slow", latency_ms=300)
    async with sending(sandbox.url, sender_concurrency=10, provider_engine=engine) as sender:
        sender.hand_out(1, range(1, 101))
        async with asyncio.timeout(5):
            while (await sandbox.control.totals()).received < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await sender.pool.drain()
        outcomes = Counter(sender.reports.outcomes.values())
        assert outcomes == {Outcome.ACCEPTED: 10, Outcome.RETURNED: 90}
        assert sender.reports.reasons == {"shutdown": 90}


async def test_draining_repeats_nothing_and_leaves_nothing_out(sandbox: Sandbox, engine: str) -> None:
    await sandbox.reset()
    await sandbox.control.behave("error", latency_ms=300)
    async with sending(sandbox.url, sender_concurrency=10, provider_engine=engine) as sender:
        sender.hand_out(1, range(1, 101))
        async with asyncio.timeout(5):
            while (await sandbox.control.totals()).received < 10:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await sender.pool.drain()
        outcomes = Counter(sender.reports.outcomes.values())
        assert outcomes == {Outcome.UNCERTAIN: 10, Outcome.RETURNED: 90}
        assert (await sandbox.control.totals()).received == 10


async def test_messages_of_a_lost_job_are_not_sent(sandbox: Sandbox) -> None:
    await sandbox.reset()
    await sandbox.control.behave("slow", latency_ms=100)
    async with sending(sandbox.url, sender_concurrency=5) as sender:
        lost = sender.hand_out(1, range(1, 101))
        async with asyncio.timeout(5):
            while (await sandbox.control.totals()).received < 5:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        lost.is_lost = True
        sender.hand_out(2, range(101, 121))
        await sender.until_reported(range(101, 121))
        assert (await sandbox.control.totals()).received < 40
    returned = [one for one, outcome in sender.reports.outcomes.items() if outcome is Outcome.RETURNED]
    assert len(returned) > 60, "what was not begun comes back, so that nobody need guess"
