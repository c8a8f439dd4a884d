"""The main job: whoever should get a message gets it once, on time, and its status is recorded."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from shared.contracts import utc_now
from tests.e2e.system import System, until
from tests.sandbox import Sandbox


async def first_arrival(sandbox: Sandbox) -> datetime:
    """When the provider got the first message; waits for it."""

    async def something_came() -> bool:
        return (await sandbox.control.totals()).received > 0

    await until(something_came, timeout=15, what="the provider gets a message")
    first_at = (await sandbox.control.totals()).first_at
    assert first_at is not None
    return datetime.fromtimestamp(first_at, UTC)


async def until_some_are_sent(system: System, mailing: int) -> None:
    async def some_are_sent() -> bool:
        return (await system.status(mailing)).get("sent", 0) > 0

    await until(some_are_sent, timeout=15, what="the first messages are sent")


async def test_a_mailing_reaches_each_matching_client_once(system: System, sandbox: Sandbox) -> None:
    audience = await system.add_audience(150)
    await system.add_audience(1)
    mailing = await system.add_mailing(audience.tag, text="Ваш заказ готов")
    assert await system.until_settled(mailing, 150) == {"sent": 150, "total": 150}
    received = await sandbox.control.messages()
    assert sorted(message.phone for message in received) == list(audience.numbers)
    assert all(message.count == 1 for message in received)
    page = (await system.api.get(f"/api/mailing/{mailing}/messages/", params={"limit": 1000})).json()
    assert {message["id"] for message in page["items"]} == {message.id for message in received}


async def test_a_mailing_that_should_have_started_starts_at_once(system: System, sandbox: Sandbox) -> None:
    audience = await system.add_audience(5)
    created = utc_now()
    mailing = await system.add_mailing(audience.tag, starts_at=created - timedelta(days=1))
    assert await first_arrival(sandbox) - created < timedelta(seconds=1)
    assert await system.until_settled(mailing, 5) == {"sent": 5, "total": 5}


async def test_a_mailing_in_the_future_starts_by_itself_within_100_ms(system: System, sandbox: Sandbox) -> None:
    audience = await system.add_audience(5)
    # The very first mailing finds cold caches; the promise is about a system that runs.
    await system.until_settled(await system.add_mailing(audience.tag), 5)
    await sandbox.reset()
    starts_at = utc_now() + timedelta(seconds=3)
    mailing = await system.add_mailing(audience.tag, starts_at=starts_at)
    delay = await first_arrival(sandbox) - starts_at
    assert timedelta(0) <= delay < timedelta(milliseconds=100)
    assert await system.until_settled(mailing, 5) == {"sent": 5, "total": 5}


async def test_moving_the_start_into_the_past_starts_the_mailing(system: System, sandbox: Sandbox) -> None:
    audience = await system.add_audience(5)
    mailing = await system.add_mailing(audience.tag, starts_at=utc_now() + timedelta(minutes=30))
    moved = {"starts_at": (utc_now() - timedelta(minutes=1)).isoformat()}
    assert (await system.api.patch(f"/api/mailing/{mailing}/", json=moved)).status_code == 200
    assert await system.until_settled(mailing, 5, timeout=5) == {"sent": 5, "total": 5}


@pytest.mark.parametrize("mode", ["reset", "half", "unavailable", "throttle"])
async def test_other_failures_of_the_provider_lose_nothing_either(
    system: System, sandbox: Sandbox, mode: str
) -> None:
    audience = await system.add_audience(200)
    await sandbox.control.behave(mode, share=0.5, for_seconds=1)
    mailing = await system.add_mailing(audience.tag)
    assert await system.until_settled(mailing, 200) == {"sent": 200, "total": 200}
    await assert_all_accepted(sandbox, audience.numbers)


async def assert_all_accepted(sandbox: Sandbox, numbers: range) -> None:
    received = await sandbox.control.messages()
    assert sorted(message.phone for message in received if message.accepted) == list(numbers)


async def test_when_the_end_passes_while_the_provider_is_down_the_rest_expires_and_nothing_is_sent_late(
    system: System, sandbox: Sandbox
) -> None:
    audience = await system.add_audience(300)
    await sandbox.control.behave("slow", latency_ms=300)
    ends_at = utc_now() + timedelta(seconds=6)
    mailing = await system.add_mailing(audience.tag, expired_at=ends_at)
    await until_some_are_sent(system, mailing)
    await sandbox.control.behave("down", for_seconds=8)
    status = await system.until_settled(mailing, 300)
    assert status["sent"] + status["expired"] == 300

    async def is_back() -> bool:
        return (await sandbox.control.behaviour()).behaviour.mode == "ok"

    await until(is_back, timeout=15, what="the provider is back")
    # Another mailing shows that the senders have come back to the provider.
    other = await system.add_audience(100)
    await system.until_settled(await system.add_mailing(other.tag), 100)
    late = [
        message
        for message in await sandbox.control.messages()
        if message.phone in audience.numbers and message.last_at >= ends_at.timestamp()
    ]
    assert late == []


async def test_what_the_provider_refuses_has_failed_and_its_words_are_kept(
    system: System, sandbox: Sandbox
) -> None:
    audience = await system.add_audience(10)
    await sandbox.control.behave("reject")
    mailing = await system.add_mailing(audience.tag)
    assert await system.until_settled(mailing, 10) == {"failed": 10, "total": 10}
    page = (await system.api.get(f"/api/mailing/{mailing}/messages/", params={"status": "failed"})).json()
    message = (await system.api.get(f"/api/message/{page['items'][0]['id']}/")).json()
    (attempt,) = message["attempts"]
    assert attempt["outcome"] == "rejected"
    assert attempt["provider_status"] == 400


async def test_a_paused_mailing_goes_on_where_it_stopped(system: System, sandbox: Sandbox) -> None:
    audience = await system.add_audience(300)
    await sandbox.control.behave("slow", latency_ms=500)
    mailing = await system.add_mailing(audience.tag)
    await first_arrival(sandbox)
    assert (await system.api.post(f"/api/mailing/{mailing}/pause/")).status_code == 200

    async def nothing_is_active() -> bool:
        return (await system.status(mailing)).get("active", 0) == 0

    await until(nothing_is_active, timeout=10, what="all that was out has come back")
    sent = (await system.status(mailing)).get("sent", 0)
    assert 0 < sent < 300
    await sandbox.control.behave()
    assert (await system.api.post(f"/api/mailing/{mailing}/resume/")).status_code == 200
    assert await system.until_settled(mailing, 300) == {"sent": 300, "total": 300}
    assert (await sandbox.control.totals()).duplicated == 0


async def test_an_end_that_is_moved_forward_in_mid_run_holds_for_what_is_out_too(
    system: System, sandbox: Sandbox
) -> None:
    audience = await system.add_audience(300)
    await sandbox.control.behave("slow", latency_ms=700)
    mailing = await system.add_mailing(audience.tag)
    await first_arrival(sandbox)
    ends_at = utc_now() + timedelta(seconds=1)
    moved = {"expired_at": ends_at.isoformat()}
    assert (await system.api.patch(f"/api/mailing/{mailing}/", json=moved)).status_code == 200
    status = await system.until_settled(mailing, 300)
    assert status["expired"] > 0
    assert status["sent"] + status["expired"] == 300
    assert all(m.last_at < ends_at.timestamp() for m in await sandbox.control.messages())


async def test_deleting_a_mailing_in_mid_run_stops_it(system: System, sandbox: Sandbox) -> None:
    audience = await system.add_audience(300)
    await sandbox.control.behave("slow", latency_ms=500)
    mailing = await system.add_mailing(audience.tag)
    await first_arrival(sandbox)
    assert (await system.api.delete(f"/api/mailing/{mailing}/")).status_code == 204
    answered = time.time()
    await sandbox.control.behave()
    assert (await system.api.get(f"/api/mailing/{mailing}/")).status_code == 404
    other = await system.add_audience(100)
    assert await system.until_settled(await system.add_mailing(other.tag), 100) == {"sent": 100, "total": 100}
    received = [m for m in await sandbox.control.messages() if m.phone in audience.numbers]
    assert len(received) < 300
    assert all(message.last_at < answered + 1 for message in received)


async def test_deleting_a_client_keeps_its_history_and_cancels_what_is_to_come(
    system: System, sandbox: Sandbox
) -> None:
    audience = await system.add_audience(2)
    done = await system.add_mailing(audience.tag)
    await system.until_settled(done, 2)
    await sandbox.control.behave("unavailable", retry_after=2)
    going_on = await system.add_mailing(audience.tag)

    async def both_wait() -> bool:
        totals = await sandbox.control.totals()
        return totals.received >= 4 and await system.status(going_on) == {"new": 2, "total": 2}

    await until(both_wait, timeout=10, what="both messages were refused and wait")
    found = (await system.api.get("/api/client/", params={"number": audience.numbers[0]})).json()
    assert (await system.api.delete(f"/api/client/{found['items'][0]['id']}/")).status_code == 204
    assert (await system.status(going_on)).get("canceled") == 1
    await sandbox.control.behave()
    assert await system.until_settled(going_on, 2) == {"sent": 1, "canceled": 1, "total": 2}
    assert await system.status(done) == {"sent": 2, "total": 2}
