"""/metrics of a running system: the numbers are those of the messages."""

import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import psycopg
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import free_ports
from shared import __version__
from shared.contracts import utc_now
from tests.e2e.conftest import QUICK
from tests.e2e.system import Environment, System, running_system, until
from tests.integration.api_client import NOWHERE, address_of_database, wire_to
from tests.sandbox import Sandbox
from tests.servers import Servers
from tests.urls import with_address

Numbers = dict[str, float]


class Looked(httpx.AsyncClient):
    """Metrics page of one service."""

    async def numbers(self) -> Numbers:
        """Return all samples by name and labels: `name` or `name{label=value,…}`, labels in alphabetical order."""
        response = (await self.get("/metrics")).raise_for_status()
        assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        return {
            _key(sample.name, sample.labels): sample.value
            for family in text_string_to_metric_families(response.text)
            for sample in family.samples
        }

    async def answers(self, path: str, status: int) -> bool:
        try:
            return (await self.get(path)).status_code == status
        except httpx.TransportError:
            return False


@dataclass(frozen=True, slots=True)
class Watched:
    """A system whose services serve their metrics."""

    system: System
    planner: Looked
    senders: tuple[Looked, ...]

    async def sum_of_senders(self) -> Numbers:
        total: Numbers = defaultdict(float)
        for sender in self.senders:
            for key, value in (await sender.numbers()).items():
                total[key] += value
        return total

    async def api(self) -> Numbers:
        async with Looked(base_url=self.system.api.base_url, trust_env=False) as api:
            return await api.numbers()


@asynccontextmanager
async def watched_system(
    servers: Servers, sandbox: Sandbox, logs: Path, *, senders: int = 2, planner: Environment | None = None
) -> AsyncIterator[Watched]:
    """Run one planner and some senders, all of them ready."""
    ports = free_ports(senders + 1)
    async with (
        running_system(servers, sandbox, logs, planners=0, senders=0, environment=QUICK) as system,
        AsyncExitStack() as stack,
    ):
        await system.start("planner", environment=_port(ports[0]) | (planner or {}))
        for number, port in enumerate(ports[1:]):
            await system.start("sender", f"sender-{number}", _port(port))
        looked = [await stack.enter_async_context(_at(port)) for port in ports]
        for one in looked:
            await until(partial(one.answers, "/readyz", 200), timeout=30, what=f"{one.base_url} is ready")
        yield Watched(system, looked[0], tuple(looked[1:]))


def _at(port: int) -> Looked:
    return Looked(base_url=f"http://127.0.0.1:{port}", trust_env=False)


def _port(port: int) -> Environment:
    return {"MAILING_METRICS_PORT": str(port)}


def _key(name: str, labels: dict[str, str]) -> str:
    if not labels:
        return name
    return f"{name}{{{','.join(f'{label}={value}' for label, value in sorted(labels.items()))}}}"


async def test_after_a_mailing_every_number_is_that_of_its_messages(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with watched_system(own_servers, sandbox, tmp_path) as watched:
        system = watched.system
        audience = await system.add_audience(250)
        mailing = await system.add_mailing(audience.tag)
        assert await system.until_settled(mailing, 250) == {"sent": 250, "total": 250}

        planner, senders, api = (
            await watched.planner.numbers(),
            await watched.sum_of_senders(),
            await watched.api(),
        )
        assert planner["mailing_messages_settled_total{status=sent}"] == 250
        assert planner["mailing_messages_settled_total{status=failed}"] == 0
        assert planner["mailing_messages_expanded_total"] == 250
        assert planner["mailing_messages_released_total"] == 250
        assert planner["mailing_jobs_released_total"] == 3
        assert planner["mailing_report_batch_results_sum"] == 250
        assert (
            planner["mailing_report_batch_reports_count"] == planner["mailing_report_batch_duration_seconds_count"]
        )
        assert planner["mailing_messages_again_total"] == 0
        assert planner["mailing_rate_limit_messages_per_second"] == float("inf")
        assert planner["mailing_ledger_readable"] == 1
        assert senders["mailing_sender_results_total{outcome=accepted}"] == 250
        assert senders["mailing_provider_request_duration_seconds_count{outcome=accepted}"] == 250
        assert senders["mailing_provider_requests_in_flight"] == 0
        assert senders["mailing_sender_concurrency"] == 2 * 64
        assert senders["mailing_sender_breaker_open"] == 0
        created = "mailing_api_request_duration_seconds_count{method=POST,route=%s,status=2xx}"
        assert api[created % "/api/client/import/"] == 1
        assert api[created % "/api/mailing/"] == 1
        assert api["mailing_outbox_published_total"] == 1
        for service, numbers in ("api", api), ("planner", planner):
            build = [
                key for key in numbers if key.startswith("mailing_build_info") and f"service={service}" in key
            ]
            assert len(build) == 1
            assert f"version={__version__}" in build[0]

        async def lag_is_measured() -> bool:
            return (await watched.planner.numbers())["mailing_event_loop_lag_seconds_count"] > 4

        await until(lag_is_measured, timeout=10, what="the event loop was looked at")


async def test_a_mailing_that_runs_has_metrics_of_open_due_and_outstanding_messages(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with watched_system(own_servers, sandbox, tmp_path, senders=1) as watched:
        audience = await watched.system.add_audience(300)
        mailing = await watched.system.add_mailing(audience.tag, rate=20)

        numbers: dict[str, float] = {}
        of_mailing = f"{{mailing={mailing}}}"

        async def shown() -> bool:
            numbers.update(await watched.planner.numbers())
            open_messages = numbers.get(f"mailing_running_open_messages{of_mailing}", 0)
            # What comes back to be planned again in the very instant of the look is due only then.
            due = numbers.get(f"mailing_running_due_messages{of_mailing}")
            return 0 < open_messages < 300 and numbers["mailing_messages_outstanding"] > 0 and due == open_messages

        await until(shown, timeout=20, what="a part of the mailing is open, and all of it is due")
        open_messages = numbers[f"mailing_running_open_messages{of_mailing}"]
        assert open_messages + numbers[f"mailing_running_settled_messages{of_mailing}"] == 300
        assert open_messages == numbers["mailing_open_messages"]
        assert 3_500 < numbers[f"mailing_running_time_left_seconds{of_mailing}"] < 3_600
        assert numbers["mailing_mailings{state=running}"] == 1
        assert numbers["mailing_due_messages{lane=ordinary}"] > 0
        assert numbers["mailing_due_lag_seconds{lane=ordinary}"] > 0
        assert numbers["mailing_due_lag_seconds{lane=express}"] == 0
        assert numbers["mailing_jobs_outstanding"] > 0
        assert numbers["mailing_rate_limit_slots_total"] > 0


async def test_messages_to_an_unknown_zone_are_held_and_counted_as_such(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with watched_system(own_servers, sandbox, tmp_path, senders=1) as watched:
        system = watched.system
        audience = await system.add_audience(20)
        with psycopg.connect(own_servers.database_url) as connection:  # as the API takes no such zone
            connection.execute("UPDATE clients SET zone = 'Mars/Olympus' WHERE number % 4 = 0")
        now = utc_now()
        in_moscow = [(now + timedelta(hours=hours)).strftime("%H:%M") for hours in (2, 4)]  # an hour around it
        body = {
            "starts_at": now.isoformat(),
            "expired_at": (now + timedelta(hours=1)).isoformat(),
            "text": "hello",
            "filter": audience.tag,
            "window": dict(zip(("from", "until"), in_moscow, strict=True)),
        }
        response = (await system.api.post("/api/mailing/", json=body)).raise_for_status()
        mailing = int(response.json()["id"])

        async def all_others_are_sent() -> bool:
            return await system.status(mailing) == {"sent": 15, "new": 5, "total": 20}

        async def held_are_shown() -> bool:
            return (await watched.planner.numbers())["mailing_held_messages"] == 5

        await until(all_others_are_sent, timeout=20, what="all whose zone is known have got their message")
        await until(held_are_shown, timeout=10, what="those held are shown")
        assert all(message.phone % 4 for message in await sandbox.control.messages())


async def test_failures_are_counted_by_their_kind(own_servers: Servers, sandbox: Sandbox, tmp_path: Path) -> None:
    async with watched_system(own_servers, sandbox, tmp_path, senders=1) as watched:
        system, (sender,) = watched.system, watched.senders
        await sandbox.control.behave("reject")
        refused = await system.add_audience(30)
        await system.until_settled(await system.add_mailing(refused.tag), 30)
        numbers = await sender.numbers()
        assert numbers["mailing_sender_results_total{outcome=rejected}"] == 30
        assert (await watched.planner.numbers())["mailing_messages_settled_total{status=failed}"] == 30

        await sandbox.control.behave("down")
        put_off = await system.add_audience(200)  # more than are POSTed at a time
        mailing = await system.add_mailing(put_off.tag)

        async def breaker_is(state: float) -> bool:
            return (await sender.numbers())["mailing_sender_breaker_open"] == state

        async def some_come_back() -> bool:
            return (await sender.numbers())["mailing_sender_returned_total{reason=circuit_open}"] > 0

        await until(lambda: breaker_is(1), timeout=15, what="the breaker is open")
        await until(some_come_back, timeout=15, what="what was not a probe is handed back")
        await sandbox.control.behave()
        await system.until_settled(mailing, 200)
        numbers = await sender.numbers()
        assert numbers["mailing_sender_breaker_open"] == 0
        assert numbers["mailing_sender_breaker_opened_total"] >= 1
        assert numbers["mailing_sender_results_total{outcome=accepted}"] == 200
        assert numbers["mailing_provider_request_duration_seconds_count{outcome=deferred}"] >= 20
        planner = await watched.planner.numbers()
        assert planner["mailing_messages_settled_total{status=sent}"] == 200
        assert planner["mailing_messages_again_total"] > 0


async def test_a_frozen_database_does_not_delay_the_metrics(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with wire_to(address_of_database(own_servers.database_url)) as wire:
        through = {"MAILING_DATABASE_URL": with_address(own_servers.database_url, wire.address)}
        async with watched_system(own_servers, sandbox, tmp_path, senders=0, planner=through) as watched:
            planner = watched.planner

            async def readable(is_readable: float) -> bool:
                began = time.monotonic()
                numbers = await planner.numbers()
                assert time.monotonic() - began < 3
                assert ("mailing_outbox_entries" in numbers) == numbers["mailing_ledger_readable"]
                return numbers["mailing_ledger_readable"] == is_readable

            await until(lambda: readable(1), timeout=10, what="the ledger can be read")
            wire.freeze()
            await until(lambda: readable(0), timeout=10, what="the ledger cannot be read")
            assert await planner.answers("/readyz", 503)
            assert await planner.answers("/healthz", 200)
            wire.thaw()
            await until(lambda: readable(1), timeout=30, what="the ledger can be read again")
            await until(lambda: planner.answers("/readyz", 200), timeout=10, what="the planner is ready again")


async def test_a_sender_without_a_broker_is_alive_and_not_ready(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    (port,) = free_ports(1)
    async with (
        running_system(own_servers, sandbox, tmp_path, planners=0, senders=0) as system,
        _at(port) as sender,
    ):
        await system.start("sender", environment=_port(port) | {"MAILING_BROKER_URL": f"amqp://{NOWHERE}/"})
        await until(lambda: sender.answers("/healthz", 200), timeout=20, what="the sender is alive")
        response = await sender.get("/readyz")
        assert response.status_code == 503
        assert response.json() == {"status": "unavailable", "broker": "unavailable", "clock": "ok"}
        assert (await sender.numbers())["mailing_sender_results_total{outcome=accepted}"] == 0
        assert await system.terminate("sender") == 0


async def test_a_port_that_is_in_use_is_named(own_servers: Servers, sandbox: Sandbox, tmp_path: Path) -> None:
    async with running_system(own_servers, sandbox, tmp_path, planners=0, senders=0) as system:
        taken = system.api.base_url.port
        assert taken
        await system.start("sender", environment=_port(taken))
        assert await system.processes.pop("sender").wait() == 2
        [*_, line] = (tmp_path / "sender.log").read_text().splitlines()
        assert line.startswith(f"cannot listen on 127.0.0.1, port {taken}: Address already in use.")
