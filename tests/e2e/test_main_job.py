"""The main job: whoever should get a message gets it once, on time, and its status is recorded."""

import asyncio
import time
from datetime import datetime, timedelta

import pytest

from shared.contracts import utc_now
from tests.e2e.system import System, until
from tests.sandbox import Sandbox


async def add_audience(system: System, count: int, *, tag: str = "#e2e") -> None:
    await asyncio.gather(*(system.add_client(79_050_000_000 + n, tag=tag) for n in range(count)))


async def first_arrival(sandbox: Sandbox) -> datetime:
    """When the provider got the first message; waits for it."""

    async def something_came() -> bool:
        return (await sandbox.control.totals()).received > 0

    await until(something_came, timeout=15, what="the provider gets a message")
    first_at = (await sandbox.control.totals()).first_at
    assert first_at is not None
    return datetime.fromtimestamp(first_at, tz=utc_now().tzinfo)


async def test_a_mailing_reaches_each_matching_client_once(system: System, sandbox: Sandbox) -> None:
    await add_audience(system, 150)
    await system.add_client(79_990_000_000, tag="#somebody-else")
    mailing = await system.add_mailing(text="Ваш заказ готов")
    assert await system.until_settled(mailing, 150) == {"sent": 150, "total": 150}
    received = await sandbox.control.messages()
    assert sorted(message.phone for message in received) == [79_050_000_000 + n for n in range(150)]
    assert all(message.count == 1 for message in received)
    page = (await system.api.get(f"/api/mailing/{mailing}/messages/", params={"limit": 1000})).json()
    assert {message["id"] for message in page["items"]} == {message.id for message in received}


async def test_a_mailing_that_should_have_started_starts_at_once(system: System, sandbox: Sandbox) -> None:
    await add_audience(system, 5)
    mailing = await system.add_mailing(starts_at=utc_now() - timedelta(days=1))
    created = utc_now()
    assert await first_arrival(sandbox) - created < timedelta(seconds=1)
    assert await system.until_settled(mailing, 5) == {"sent": 5, "total": 5}


async def test_a_mailing_in_the_future_starts_by_itself_within_100_ms(system: System, sandbox: Sandbox) -> None:
    await add_audience(system, 5)
    # The first mailing finds cold caches; the promise is about a system that runs.
    await system.until_settled(await system.add_mailing(), 5)
    await sandbox.reset()
    starts_at = utc_now() + timedelta(seconds=3)
    mailing = await system.add_mailing(starts_at=starts_at)
    delay = await first_arrival(sandbox) - starts_at
    assert timedelta(0) <= delay < timedelta(milliseconds=100)
    assert await system.until_settled(mailing, 5) == {"sent": 5, "total": 5}


async def test_moving_the_start_into_the_past_starts_the_mailing(system: System, sandbox: Sandbox) -> None:
    await add_audience(system, 5)
    mailing = await system.add_mailing(starts_at=utc_now() + timedelta(minutes=30))
    moved = {"starts_at": (utc_now() - timedelta(minutes=1)).isoformat()}
    assert (await system.api.patch(f"/api/mailing/{mailing}/", json=moved)).status_code == 200
    assert await system.until_settled(mailing, 5, timeout=5) == {"sent": 5, "total": 5}


@pytest.mark.parametrize("mode", ["error", "garbage", "hang", "reset", "half", "down", "unavailable"])
async def test_a_provider_that_fails_in_mid_mailing_costs_time_and_nothing_else(
    system: System, sandbox: Sandbox, mode: str
) -> None:
    await add_audience(system, 200)
    await sandbox.control.behave("slow", latency_ms=200)
    mailing = await system.add_mailing()
    await first_arrival(sandbox)
    await sandbox.control.behave(mode, for_seconds=5)
    assert await system.until_settled(mailing, 200) == {"sent": 200, "total": 200}
    received = await sandbox.control.messages()
    assert len({message.phone for message in received}) == 200
    assert all(message.accepted for message in received)


@pytest.mark.parametrize("mode", ["error", "garbage", "hang", "down"])
async def test_the_api_answers_in_its_usual_time_while_the_provider_is_out_for_20_s(
    system: System, sandbox: Sandbox, mode: str
) -> None:
    await add_audience(system, 200)
    usual = await slowest_answer(system, seconds=2)
    await sandbox.control.behave(mode, for_seconds=20)
    mailing = await system.add_mailing()
    during = await slowest_answer(system, seconds=15)
    assert during < max(3 * usual, 0.25)
    assert (await system.status(mailing)).get("sent", 0) == 0, "the provider was out all the time"
    assert await system.until_settled(mailing, 200) == {"sent": 200, "total": 200}


async def slowest_answer(system: System, *, seconds: float) -> float:
    """The 95th percentile of the API's answers to a creation and a list, in seconds."""
    took: list[float] = []
    end = time.monotonic() + seconds
    number = 79_100_000_000 + int(time.monotonic() * 1000) % 10**8
    while time.monotonic() < end:
        began = time.perf_counter()
        number += 1
        await system.add_client(number, tag="#usual")
        (await system.api.get("/api/mailing/")).raise_for_status()
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return sorted(took)[int(len(took) * 0.95)]


async def test_when_the_end_passes_while_the_provider_is_down_the_rest_expires_and_nothing_is_sent_late(
    system: System, sandbox: Sandbox
) -> None:
    await add_audience(system, 200)
    await sandbox.control.behave("slow", latency_ms=300)
    ends_at = utc_now() + timedelta(seconds=6)
    mailing = await system.add_mailing(expired_at=ends_at)
    await first_arrival(sandbox)
    await sandbox.control.behave("down", for_seconds=8)
    status = await system.until_settled(mailing, 200)
    assert status["sent"] + status["expired"] == 200
    assert status["expired"] > 0

    async def back_up() -> bool:
        return (await sandbox.control.behaviour()).behaviour.mode == "ok"

    await until(back_up, timeout=15, what="the provider is back")
    before = (await sandbox.control.totals()).received
    # A mailing that may be sent shows that the senders have come back to the provider.
    probe = await system.add_mailing(expired_at=utc_now() + timedelta(minutes=5))
    await system.until_settled(probe, 200)
    late = [m for m in await sandbox.control.messages() if m.id <= 200 and m.last_at > ends_at.timestamp()]
    assert late == []
    assert (await sandbox.control.totals()).received == before + 200


async def test_what_the_provider_refuses_has_failed_and_its_words_are_kept(
    system: System, sandbox: Sandbox
) -> None:
    await add_audience(system, 10)
    await sandbox.control.behave("reject")
    mailing = await system.add_mailing()
    assert await system.until_settled(mailing, 10) == {"failed": 10, "total": 10}
    page = (await system.api.get(f"/api/mailing/{mailing}/messages/", params={"status": "failed"})).json()
    message = (await system.api.get(f"/api/message/{page['items'][0]['id']}/")).json()
    (attempt,) = message["attempts"]
    assert attempt["outcome"] == "rejected"
    assert attempt["provider_status"] == 400


async def test_a_paused_mailing_goes_on_where_it_stopped(system: System, sandbox: Sandbox) -> None:
    await add_audience(system, 300)
    await sandbox.control.behave("slow", latency_ms=500)
    mailing = await system.add_mailing()
    await first_arrival(sandbox)
    assert (await system.api.post(f"/api/mailing/{mailing}/pause/")).status_code == 200

    async def nothing_active() -> bool:
        return (await system.status(mailing)).get("active", 0) == 0

    await until(nothing_active, timeout=10, what="all that was out has come back")
    sent = (await system.status(mailing)).get("sent", 0)
    assert 0 < sent < 300
    await sandbox.control.behave()
    assert (await system.api.post(f"/api/mailing/{mailing}/resume/")).status_code == 200
    assert await system.until_settled(mailing, 300) == {"sent": 300, "total": 300}
    assert (await sandbox.control.totals()).duplicated == 0


async def test_deleting_a_mailing_in_mid_run_stops_it(system: System, sandbox: Sandbox) -> None:
    await add_audience(system, 300)
    await sandbox.control.behave("slow", latency_ms=500)
    mailing = await system.add_mailing()
    await first_arrival(sandbox)
    assert (await system.api.delete(f"/api/mailing/{mailing}/")).status_code == 204
    answered = time.time()
    await sandbox.control.behave()
    assert (await system.api.get(f"/api/mailing/{mailing}/")).status_code == 404
    other = await system.add_mailing()
    assert await system.until_settled(other, 300) == {"sent": 300, "total": 300}
    received = [m for m in await sandbox.control.messages() if m.id <= 300]
    assert len(received) < 300
    assert all(message.last_at < answered + 1 for message in received)


async def test_deleting_a_client_keeps_its_history_and_cancels_what_is_to_come(
    system: System, sandbox: Sandbox
) -> None:
    client = await system.add_client(79_050_000_001)
    await system.add_client(79_050_000_002)
    done = await system.add_mailing()
    await system.until_settled(done, 2)
    await sandbox.control.behave("down")
    going_on = await system.add_mailing()

    async def deferred() -> bool:
        return await system.status(going_on) == {"new": 2, "total": 2}

    await until(deferred, timeout=10, what="both messages were refused and wait")
    assert (await system.api.delete(f"/api/client/{client}/")).status_code == 204
    assert (await system.status(going_on)).get("canceled") == 1
    await sandbox.control.behave()
    assert await system.until_settled(going_on, 2) == {"sent": 1, "canceled": 1, "total": 2}
    assert await system.status(done) == {"sent": 2, "total": 2}
