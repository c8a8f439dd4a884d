"""Servers go away and come back: the service waits, says for what, and goes on by itself."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aio_pika
import httpx
import pytest
from pydantic import SecretStr

from deploy.local.stack import Servers as PrivateServers
from shared.ledger.migrations import migrate
from shared.topology import declare
from tests.e2e.system import System, running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers


@pytest.fixture(scope="module")
def mortal_servers(server_folder: Path) -> Iterator[PrivateServers]:
    """Private servers that a test may stop, apart from those of the other tests."""
    with PrivateServers(server_folder / "mortal", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url))
        # Half a second passes until RabbitMQ has a new queue's name on disk, and killed before, that queue has no
        # leader ever after (docs/rabbitmq.md). What stops in peace writes it.
        assert servers.rabbitmq is not None
        asyncio.run(_declare(servers.broker_url))
        servers.rabbitmq.stop()
        servers.rabbitmq.start()
        yield servers


async def _declare(broker_url: str) -> None:
    async with await aio_pika.connect(broker_url) as connection:
        await declare(await connection.channel())


@pytest.fixture
async def system(mortal_servers: PrivateServers, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[System]:
    await sandbox.reset()
    servers = Servers(mortal_servers.database_url, mortal_servers.broker_url)
    quick = {"MAILING_BACKOFF_FIRST": "1", "MAILING_BACKOFF_MOST": "2", "MAILING_REDELIVERY_GRACE": "6"}
    async with running_system(servers, sandbox, tmp_path, environment=quick) as running:
        yield running


async def test_while_rabbitmq_is_down_the_api_accepts_and_afterwards_the_mailing_is_sent(
    system: System, sandbox: Sandbox, mortal_servers: PrivateServers
) -> None:
    audience = await system.add_audience(200)
    rabbitmq = mortal_servers.rabbitmq
    assert rabbitmq is not None
    rabbitmq.kill()
    mailing = await system.add_mailing(audience.tag)
    await until(system.is_ready, timeout=10, what="the API is ready without RabbitMQ")
    rabbitmq.start()
    assert await system.until_settled(mailing, 200) == {"sent": 200, "total": 200}
    assert (await sandbox.control.totals()).duplicated == 0


async def test_a_restart_of_rabbitmq_in_mid_mailing_loses_and_repeats_nothing(
    system: System, sandbox: Sandbox, mortal_servers: PrivateServers
) -> None:
    audience = await system.add_audience(600)
    await sandbox.control.behave("slow", latency_ms=100)
    mailing = await system.add_mailing(audience.tag)
    await until_arrived(sandbox, 100)
    rabbitmq = mortal_servers.rabbitmq
    assert rabbitmq is not None
    rabbitmq.kill()
    rabbitmq.start()
    assert await system.until_settled(mailing, 600, timeout=90) == {"sent": 600, "total": 600}
    assert (await sandbox.control.totals()).duplicated == 0


async def test_without_postgresql_senders_go_on_and_the_rest_waits(
    system: System, sandbox: Sandbox, mortal_servers: PrivateServers
) -> None:
    audience = await system.add_audience(600)
    await sandbox.control.behave("slow", latency_ms=100)
    mailing = await system.add_mailing(audience.tag)
    await until_arrived(sandbox, 100)
    postgres = mortal_servers.postgres
    assert postgres is not None
    postgres.stop()
    answer = await system.api.get(f"/api/mailing/{mailing}/")
    assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
    assert answer.headers["Retry-After"]
    assert (await system.api.get("/healthz")).status_code == httpx.codes.OK
    postgres.start()
    await until(system.is_ready, timeout=20, what="the API is ready again")
    assert await system.until_settled(mailing, 600, timeout=90) == {"sent": 600, "total": 600}
    assert (await sandbox.control.totals()).duplicated == 0


async def until_arrived(sandbox: Sandbox, count: int) -> None:
    async def enough() -> bool:
        return (await sandbox.control.totals()).received >= count

    await until(enough, timeout=20, what=f"{count} messages have arrived at the provider")


async def test_every_service_waits_for_servers_that_are_not_there_yet(
    mortal_servers: PrivateServers, sandbox: Sandbox, tmp_path: Path
) -> None:
    await sandbox.reset()
    rabbitmq, postgres = mortal_servers.rabbitmq, mortal_servers.postgres
    assert rabbitmq is not None
    assert postgres is not None
    rabbitmq.kill()
    postgres.stop()
    system = System(
        Servers(mortal_servers.database_url, mortal_servers.broker_url), sandbox, tmp_path, environment={}
    )
    try:
        for service in ("api", "planner", "sender"):
            await system.start(service)

        async def all_have_said_what_they_wait_for() -> bool:
            logs = {name: (tmp_path / f"{name}.log").read_text() for name in ("api", "planner", "sender")}
            return all("waiting_for" in log for log in logs.values())

        await until(all_have_said_what_they_wait_for, timeout=30, what="each service says what it waits for")
        rabbitmq.start()
        postgres.start()
        await until(system.is_ready, timeout=20, what="the API is ready")
        audience = await system.add_audience(20)
        mailing = await system.add_mailing(audience.tag)
        assert await system.until_settled(mailing, 20) == {"sent": 20, "total": 20}
    finally:
        await system.close()
