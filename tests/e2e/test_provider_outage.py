"""The provider is out for 10 s in mid-mailing, in four ways at the same time: four senders, each with a stand-in
provider of its own that fails in its own way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import QUICK
from tests.e2e.system import System, running_system, slowest_answer, until
from tests.sandbox import Sandbox, running_sandbox
from tests.servers import Servers

MODES = ("error", "garbage", "hang", "down")


@pytest.fixture
async def sandboxes() -> AsyncIterator[dict[str, Sandbox]]:
    """A stand-in provider for each way to fail."""
    async with AsyncExitStack() as stack:
        started = [await stack.enter_async_context(running_sandbox()) for _ in MODES]
        yield dict(zip(MODES, started, strict=True))


@pytest.fixture
async def system(own_servers: Servers, sandboxes: dict[str, Sandbox], tmp_path: Path) -> AsyncIterator[System]:
    """A system with a sender for each of them."""
    first = sandboxes[MODES[0]]
    async with running_system(own_servers, first, tmp_path, senders=0, environment=QUICK) as running:
        for mode, sandbox in sandboxes.items():
            await running.start("sender", f"sender-{mode}", {"MAILING_PROVIDER_URL": sandbox.url})
        yield running


async def test_an_outage_of_10_s_costs_time_and_nothing_else(
    system: System, sandboxes: dict[str, Sandbox]
) -> None:
    audience = await system.add_audience(1_800)
    usual = await slowest_answer(system, seconds=2)
    for sandbox in sandboxes.values():
        await sandbox.control.behave("slow", latency_ms=500)
    mailing = await system.add_mailing(audience.tag)

    async def all_have_begun() -> bool:
        totals = await asyncio.gather(*(sandbox.control.totals() for sandbox in sandboxes.values()))
        return all(total.received > 0 for total in totals)

    await until(all_have_begun, timeout=15, what="every sender has begun")
    for mode, sandbox in sandboxes.items():
        await sandbox.control.behave(mode, for_seconds=10)
    during = await slowest_answer(system, seconds=4)
    assert during < max(3 * usual, 0.25), "the API answers in its usual time"
    sent = (await system.status(mailing)).get("sent", 0)
    assert sent < 1_800
    for mode, sandbox in sandboxes.items():
        assert (await sandbox.control.behaviour()).behaviour.mode == mode, "the outage goes on"
    assert (await system.status(mailing)).get("sent", 0) == sent, "nothing can be sent meanwhile"
    assert await system.until_settled(mailing, 1_800) == {"sent": 1_800, "total": 1_800}
    received = [message for s in sandboxes.values() for message in await s.control.messages()]
    assert {message.phone for message in received if message.accepted} == set(audience.numbers)
