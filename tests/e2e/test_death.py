"""Processes die and are replaced in mid-mailing: nothing is lost, and nothing is sent twice without need."""

from pathlib import Path

from tests.e2e.system import System, running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers


async def begin(system: System, sandbox: Sandbox, count: int) -> int:
    """A mailing of `count` messages of which some have arrived."""
    audience = await system.add_audience(count)
    await sandbox.control.behave("slow", latency_ms=100)
    mailing = await system.add_mailing(audience.tag)

    async def some_arrived() -> bool:
        return (await sandbox.control.totals()).received > count // 10

    await until(some_arrived, timeout=15, what="the mailing is under way")
    return mailing


async def test_a_killed_sender_loses_nothing(own_servers: Servers, sandbox: Sandbox, tmp_path: Path) -> None:
    async with running_system(
        own_servers, sandbox, tmp_path, environment={"MAILING_REDELIVERY_GRACE": "6"}
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
