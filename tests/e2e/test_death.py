"""Processes die and are replaced in mid-mailing: nothing is lost, and nothing is sent twice without need."""

from pathlib import Path

from tests.e2e.system import System, running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers


async def begin(system: System, sandbox: Sandbox, count: int) -> int:
    """Return a mailing of `count` messages, some of which the provider has received."""
    audience = await system.add_audience(count)
    await sandbox.control.behave("slow", latency_ms=100)
    mailing = await system.add_mailing(audience.tag)

    async def some_arrived() -> bool:
        return (await sandbox.control.totals()).received > count // 10

    await until(some_arrived, timeout=15, what="the mailing is under way")
    return mailing


async def test_a_killed_sender_loses_nothing(own_servers: Servers, sandbox: Sandbox, tmp_path: Path) -> None:
    async with running_system(
        own_servers,
        sandbox,
        tmp_path,
        environment={"MAILING_REDELIVERY_GRACE": "4", "MAILING_REQUEST_TIMEOUT": "2"},
    ) as system:
        mailing = await begin(system, sandbox, 600)
        await system.kill("sender-0")
        await system.start("sender", "sender-2")
        assert await system.until_settled(mailing, 600) == {"sent": 600, "total": 600}
        # What may come twice is what was in flight, or not yet reported, when it died.
        assert (await sandbox.control.totals()).duplicated <= 64 + 64


async def test_a_killed_planner_loses_nothing_and_repeats_nothing(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    async with running_system(own_servers, sandbox, tmp_path, planners=2) as system:
        mailing = await begin(system, sandbox, 600)
        await system.kill("planner-0")
        assert await system.until_settled(mailing, 600) == {"sent": 600, "total": 600}
        assert (await sandbox.control.totals()).duplicated == 0


async def test_a_rolling_restart_repeats_nothing(own_servers: Servers, sandbox: Sandbox, tmp_path: Path) -> None:
    async with running_system(own_servers, sandbox, tmp_path) as system:
        mailing = await begin(system, sandbox, 600)
        for name in ("sender-0", "sender-1", "planner-0", "api"):
            assert await system.terminate(name) == 0, f"{name} ends with exit status 0"
            await system.start(name.partition("-")[0], name)
        await until(system.is_ready, timeout=30, what="the API is back")
        assert await system.until_settled(mailing, 600) == {"sent": 600, "total": 600}
        assert (await sandbox.control.totals()).duplicated == 0


async def test_a_provider_that_is_not_idempotent_gets_no_message_twice_even_if_it_cuts_the_connection(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    once = {
        "MAILING_PROVIDER_IDEMPOTENT": "false",
        "MAILING_REDELIVERY_GRACE": "4",
        "MAILING_REQUEST_TIMEOUT": "2",
    }
    async with running_system(own_servers, sandbox, tmp_path, environment=once) as system:
        audience = await system.add_audience(600)
        await sandbox.control.behave("reset", share=0.3, latency_ms=20)
        mailing = await system.add_mailing(audience.tag)

        async def some_have_arrived() -> bool:
            return (await sandbox.control.totals()).received > 100

        await until(some_have_arrived, timeout=15, what="the mailing is under way")
        await system.kill("sender-0")
        status = await system.until_settled(mailing, 600)
        assert status["sent"] + status["uncertain"] == 600
        assert 0 < status["uncertain"] < 600
        received = await sandbox.control.messages()
        assert all(message.count == 1 for message in received), "0 double deliveries"
        page = (await system.api.get(f"/api/mailing/{mailing}/messages/", params={"limit": 1000})).json()
        sent = {message["id"] for message in page["items"] if message["status"] == "sent"}
        assert sent <= {message.id for message in received if message.accepted}
