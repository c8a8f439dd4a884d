"""The rules of time, limits and control on the running system: what `make rules` shows, in short."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from shared.contracts import utc_now
from tests.e2e.system import until
from tests.rules.control import check_control
from tests.rules.previews import ask, check_preview, miscounted
from tests.rules.sharing import check_express, check_fairness
from tests.rules.windows import check_windows
from tests.rules.world import World, world
from tests.sandbox import Sandbox
from tests.servers import Servers


@pytest.fixture(scope="module")
async def running(
    servers: Servers, database_url: str, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    own, logs = Servers(database_url, servers.broker_url), tmp_path_factory.mktemp("logs")
    async with world(own, sandbox, logs, senders=3) as started:
        yield started


@pytest.fixture
async def here(running: World) -> World:
    """The running system, and a provider that behaves and has received nothing."""
    await running.sandbox.reset()
    return running


@pytest.mark.timeout(240)
async def test_nobody_is_written_to_outside_the_local_window_and_a_preview_comes_true(here: World) -> None:
    windows, preview = await asyncio.gather(check_windows(here, per_zone=2, notice=5, rest=8), check_preview(here))
    assert (windows.outside, windows.after_end, windows.wrong, windows.miscounted) == (0, 0, 0, 0)
    assert (preview.late, preview.miscounted) == (0, 0)
    assert preview.off <= 5 * preview.allowed  # beside other tests, which cost slots; `make rules` asks for once


async def test_after_the_answer_to_pause_cancel_and_delete_nothing_more_is_sent(here: World) -> None:
    latest_ms, lost_or_repeated = await check_control(here, backlog=5_000)
    assert latest_ms <= 1_000
    assert lost_or_repeated == 0


async def test_mailings_share_and_single_messages_do_not_wait(here: World) -> None:
    assert await check_fairness(here, each=8_000) <= 0.2
    await here.sandbox.control.forget()
    p95_ms, missing = await check_express(here, crowd=30_000, messages=10)
    assert p95_ms < 2_000  # beside other tests; `make rules` asks for 1,000
    assert missing == 0


async def test_a_retry_sends_what_is_owed_and_never_what_was_sent(here: World) -> None:
    here.add_clients(300, "#owed")
    await here.sandbox.control.behave("reject", share=0.4, seed=3)
    mailing = await here.system.add_mailing("#owed")
    status = await here.system.until_settled(mailing, 300)
    failed = status["failed"]
    assert failed > 0
    assert status["sent"] == 300 - failed
    await here.sandbox.control.behave()
    before = {message.id: message.count for message in await here.sandbox.control.messages() if message.accepted}
    again = {"status": ["failed"], "expired_at": (utc_now() + timedelta(hours=1)).isoformat()}
    for _ in range(2):
        response = await here.system.api.post(f"/api/mailing/{mailing}/retry/", json=again)
        response.raise_for_status()
    assert await until_all_sent(here, mailing, 300) == {"sent": 300, "total": 300}
    after = {message.id: message.count for message in await here.sandbox.control.messages()}
    assert {message_id: after[message_id] for message_id in before} == before
    assert sum(after.values()) == 300 + failed


async def until_all_sent(here: World, mailing: int, total: int) -> dict[str, int]:
    async def sent() -> bool:
        return (await here.system.status(mailing)).get("sent") == total

    await until(sent, timeout=60, what=f"all {total} messages are sent")
    return await here.system.status(mailing)


async def test_the_preview_says_when_it_will_be_done(here: World) -> None:
    here.add_clients(600, "#soon")
    now = utc_now()
    body = {
        "starts_at": now.isoformat(),
        "expired_at": (now + timedelta(hours=1)).isoformat(),
        "text": "hello",
        "filter": "#soon",
        "rate": 100,
    }
    preview = await ask(here, body)
    created = (await here.system.api.post("/api/mailing/", json=body)).raise_for_status().json()
    await here.system.until_settled(created["id"], 600)
    last = (await here.sandbox.control.totals()).last_at
    assert (preview.recipients, preview.late, len(preview.sample)) == (600, 0, 5)
    assert miscounted(preview, here, created["id"]) == 0
    assert last is not None
    assert preview.finish is not None
    assert abs(last - preview.finish.timestamp()) < 1
