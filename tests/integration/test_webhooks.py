"""Webhooks: what happened reaches programs in order, signed, and at least once."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from standardwebhooks.webhooks import Webhook

from services.notifier.observer import NotifierObserver
from services.notifier.webhooks.dispatcher import Dispatcher
from services.notifier.webhooks.posting import Poster
from services.planner import reaping, recording
from services.planner.expansion import expand_batch
from services.planner.settings import PlannerSettings
from shared.contracts import Acceptance, JobReport, Report, utc_now
from shared.database.transactions import transaction
from shared.lifecycle import repeat
from tests.integration.api_client import NOWHERE, api_on, eventually
from tests.integration.ledger import add_clients, add_mailing, claim, query
from tests.webhook_receiver import HANG, Receiver, webhook_receiver

LOOPBACK = (ip_network("127.0.0.0/8"),)
MAILING_EVENTS = ["mailing.started", "mailing.paused", "mailing.resumed", "mailing.canceled", "mailing.finished"]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with webhook_receiver() as running:
        yield running


@pytest.fixture
async def api(
    database_url: str, clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("MAILING_WEBHOOK_ALLOW", "127.0.0.0/8")
    async with api_on(database_url, f"amqp://{NOWHERE}/") as client:
        yield client


@asynccontextmanager
async def dispatching(engine: AsyncEngine, *, timeout: float = 15, count: int = 1) -> AsyncIterator[None]:
    """Run dispatchers while the block runs."""
    stopping = asyncio.Event()
    posters = [Poster(LOOPBACK, timeout, 64) for _ in range(count)]
    dispatchers = [Dispatcher(engine, poster, timeout, NotifierObserver()) for poster in posters]
    loops = [asyncio.create_task(repeat("webhooks", one.step, stopping, one.wake)) for one in dispatchers]
    try:
        yield
    finally:
        stopping.set()
        await asyncio.gather(*loops)
        for dispatcher, poster in zip(dispatchers, posters, strict=True):
            await dispatcher.close(5)
            await poster.close()


async def create(
    api: httpx.AsyncClient, receiver: Receiver, events: Sequence[str], **more: object
) -> dict[str, Any]:
    answer = await api.post(
        "/api/webhook/", json={"name": "shop", "url": receiver.url, "events": list(events), **more}
    )
    assert answer.status_code == 201, answer.text
    created: dict[str, Any] = answer.json()
    return created


async def change(engine: AsyncEngine, statement: str, **parameters: object) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text(statement), parameters)


async def put_events(engine: AsyncEngine, count: int, mailings: int = 1) -> None:
    """Write events for every webhook, as the ledger does."""
    await change(
        engine,
        "INSERT INTO deliveries (webhook_id, event_id, kind, mailing_id, body)"
        " SELECT webhooks.id, gen_random_uuid(), 'mailing.started', n % :mailings + 1,"
        "   json_build_object('type', 'mailing.started', 'data', json_build_object("
        "     'mailing_id', n % :mailings + 1, 'n', n))::text"
        " FROM generate_series(1, :count) AS n CROSS JOIN webhooks ORDER BY n",
        count=count,
        mailings=mailings,
    )


async def send_some(engine: AsyncEngine, settings: PlannerSettings, mailing_id: int) -> int:
    """Release one job of the mailing, and record that all of it was sent; return the number of messages."""
    now = utc_now()
    async with transaction(engine) as connection:
        (job,) = await claim(connection, {mailing_id: 10}, now + timedelta(minutes=1), now)
    accepted = tuple(Acceptance(message.id, int(now.timestamp() * 1000), 3) for message in job.messages)
    part = JobReport(job_id=job.job_id, release=job.release, mailing_id=mailing_id, accepted=accepted)
    await recording.record(engine, [Report(sender="s", jobs=(part,))], now=now, policy=settings.policy(), chunk=10)
    return len(accepted)


async def test_the_life_of_a_mailing_arrives_in_order_and_signed(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver, settings: PlannerSettings
) -> None:
    webhook = await create(api, receiver, [*MAILING_EVENTS, "message.settled"], messages="all")
    await add_clients(engine, 30)
    mailing_id = await add_mailing(engine)
    async with dispatching(engine):
        await expand_batch(engine, mailing_id, chunk=10, batch=100, now=utc_now())
        sent = await send_some(engine, settings, mailing_id)
        for action in ("pause", "resume", "cancel"):
            assert (await api.post(f"/api/mailing/{mailing_id}/{action}/")).status_code == 200
        this = reaping.ReapRound(engine, settings, utc_now())
        await reaping.cancel(this)
        await reaping.finish(this)
        await receiver.wait_for(7)
    settled = [event.content["data"] for event in receiver.events if event.kind == "message.settled"]
    assert [kind for kind in receiver.kinds if kind != "message.settled"] == MAILING_EVENTS
    assert [len(data["messages"]) for data in settled] == [sent, 30 - sent]
    assert {message["status"] for message in settled[1]["messages"]} == {"canceled"}
    assert receiver.events[-1].content["data"]["messages"]["sent"] == sent
    for event in receiver.events:
        Webhook(webhook["secret"]).verify(event.body, event.headers)
        assert webhook["secret"] not in event.body.decode()


async def test_singles_are_settled_for_those_who_want_singles_only(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver, settings: PlannerSettings
) -> None:
    await create(api, receiver, ["message.settled"])
    await add_clients(engine, 10)
    mailing_id = await add_mailing(engine)
    await expand_batch(engine, mailing_id, chunk=10, batch=100, now=utc_now())
    await send_some(engine, settings, mailing_id)
    single = (await api.post("/api/message/", json={"number": 79057003050, "text": "hello"})).json()
    [(single_mailing,)] = await query(engine, "SELECT id FROM mailings WHERE express")
    assert isinstance(single_mailing, int)
    await send_some(engine, settings, single_mailing)
    async with dispatching(engine):
        await receiver.wait_for(1)
    [event] = receiver.events
    assert event.content["data"]["mailing_id"] is None
    assert [message["id"] for message in event.content["data"]["messages"]] == [single["id"]]


async def test_without_a_webhook_nothing_is_written(
    engine: AsyncEngine, api: httpx.AsyncClient, settings: PlannerSettings
) -> None:
    await add_clients(engine, 10)
    mailing_id = await add_mailing(engine)
    await expand_batch(engine, mailing_id, chunk=10, batch=100, now=utc_now())
    await send_some(engine, settings, mailing_id)
    await reaping.finish(reaping.ReapRound(engine, settings, utc_now()))
    assert await query(engine, "SELECT 1 FROM deliveries") == []
    assert await query(engine, "SELECT 1 FROM outbox WHERE exchange = 'notifications'") == []


async def test_three_dispatchers_make_each_delivery_once_and_in_order(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await create(api, receiver, ["mailing.started"])
    await put_events(engine, 200, mailings=5)
    async with dispatching(engine, count=3):
        await receiver.wait_for(200)
    numbers: dict[int, list[int]] = {}
    for event in receiver.events:
        data = event.content["data"]
        numbers.setdefault(data["mailing_id"], []).append(data["n"])
    assert sum(map(len, numbers.values())) == 200
    assert all(arrived == sorted(arrived) for arrived in numbers.values())


async def test_a_receiver_that_hangs_delays_nobody_else(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    async with webhook_receiver() as hanging:
        hanging.status = HANG
        await create(api, hanging, ["mailing.started"])
        await create(api, receiver, ["mailing.started"])
        await put_events(engine, 200, mailings=100)
        async with dispatching(engine, timeout=3):
            await receiver.wait_for(200)
            assert len(hanging.events) <= 8


async def test_after_a_failure_the_event_comes_first_again_with_its_id(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await create(api, receiver, ["mailing.started"])
    receiver.answers.extend([503, 302])
    receiver.location = "http://127.0.0.1:1/elsewhere"
    await put_events(engine, 3)
    async with dispatching(engine):
        for arrived in (1, 2):
            await receiver.wait_for(arrived)
            await eventually(lambda tries=arrived: failed(engine, tries))  # type: ignore[misc]
            await change(engine, "UPDATE deliveries SET next_at = now()")
        await receiver.wait_for(5)
    assert len({event.id for event in receiver.events[:3]}) == 1
    assert [event.content["data"]["n"] for event in receiver.events] == [1, 1, 1, 2, 3]


async def failed(engine: AsyncEngine, tries: int) -> object | None:
    rows = await query(engine, f"SELECT 1 FROM deliveries WHERE tries = {tries} AND lease_until IS NULL")
    return rows[0] if rows else None


async def test_a_webhook_that_failed_for_a_day_is_switched_off_and_catches_up_when_it_is_on_again(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(api, receiver, ["mailing.started"])
    path = f"/api/webhook/{webhook['id']}/"
    await put_events(engine, 2)
    await change(engine, "UPDATE webhooks SET failing_since = now() - interval '25 hours'")
    receiver.answers.append(500)
    async with dispatching(engine):
        await receiver.wait_for(1)

        async def is_off() -> object | None:
            because: object | None = (await api.get(path)).json()["disabled_because"]
            return because

        assert await eventually(is_off) == "answered 500"
        assert (await api.patch(path, json={"enabled": True})).json()["failing_since"] is None
        await receiver.wait_for(3)
    assert [event.content["data"]["n"] for event in receiver.events] == [1, 1, 2]


async def test_a_receiver_that_is_gone_is_switched_off_at_once(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(api, receiver, ["mailing.started"])
    receiver.answers.append(410)
    await put_events(engine, 1)

    async def is_off() -> object | None:
        disabled_at: object | None = (await api.get(f"/api/webhook/{webhook['id']}/")).json()["disabled_at"]
        return disabled_at

    async with dispatching(engine):
        await eventually(is_off)


async def test_a_dispatcher_that_died_loses_nothing(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    await create(api, receiver, ["mailing.started"])
    await put_events(engine, 3)
    await change(engine, "UPDATE deliveries SET lease_until = now() + interval '1 second' WHERE id = 1")
    async with dispatching(engine):
        await receiver.wait_for(3)
    assert [event.content["data"]["n"] for event in receiver.events] == [1, 2, 3]


async def test_a_secret_is_rotated_without_a_gap(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(api, receiver, ["mailing.started"])
    path = f"/api/webhook/{webhook['id']}/"
    rotated = (await api.post(f"{path}secret/")).json()["secret"]
    assert rotated != webhook["secret"]
    assert "secret" not in (await api.get(path)).json()
    await put_events(engine, 1)
    async with dispatching(engine):
        await receiver.wait_for(1)
    for secret in (webhook["secret"], rotated):
        Webhook(secret).verify(receiver.events[0].body, receiver.events[0].headers)


async def test_a_test_is_sent_and_the_log_of_deliveries_sends_an_event_again(
    engine: AsyncEngine, api: httpx.AsyncClient, receiver: Receiver
) -> None:
    webhook = await create(api, receiver, ["mailing.started"])
    path = f"/api/webhook/{webhook['id']}/"
    delivery = (await api.post(f"{path}test/")).json()["delivery_id"]
    async with dispatching(engine):
        await receiver.wait_for(1)
        assert (await api.post(f"{path}deliveries/{delivery}/again/")).status_code == 201
        await receiver.wait_for(2)

    assert receiver.kinds == ["webhook.test"] * 2
    assert receiver.events[0].id == receiver.events[1].id
    again, first = (await api.get(f"{path}deliveries/")).json()["items"]
    assert (first["id"], first["status"], first["tries"]) == (delivery, 204, 1)
    assert again["event_id"] == first["event_id"]
    assert (await api.post(f"{path}deliveries/999/again/")).status_code == 404
    operations = await query(engine, "SELECT operation FROM audit WHERE noun = 'webhook' ORDER BY id")
    assert [row[0] for row in operations] == ["webhook.create", "webhook.test", "webhook.send_again"]


async def test_an_inner_address_is_refused_when_it_is_named_and_when_it_is_connected_to(
    engine: AsyncEngine,
    api: httpx.AsyncClient,
    receiver: Receiver,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MAILING_WEBHOOK_ALLOW")
    async with api_on(database_url, f"amqp://{NOWHERE}/") as strict:
        wanted = {"name": "inner", "url": receiver.url, "events": ["mailing.started"]}
        answer = await strict.post("/api/webhook/", json=wanted)
        assert answer.status_code == 422
        assert "not public" in answer.text
    # A name that leads inside, such as one whose address was changed after the check.
    await create(api, receiver, ["mailing.started"])
    await change(engine, "UPDATE webhooks SET url = :url", url=f"http://localhost:{receiver.port}/")
    await put_events(engine, 1)
    poster = Poster((), 5, 4)
    dispatcher = Dispatcher(engine, poster, 5, NotifierObserver())
    await dispatcher.step()
    await dispatcher.close(10)
    await poster.close()
    assert receiver.events == []
    [(error,)] = await query(engine, "SELECT error FROM deliveries")
    assert "not public" in str(error)


async def test_only_an_admin_manages_webhooks(api: httpx.AsyncClient, receiver: Receiver) -> None:
    created = await api.post("/api/token/", json={"name": "program", "role": "operator"})
    headers = {"Authorization": f"Bearer {created.json()['token']}"}
    assert (await api.get("/api/webhook/", headers=headers)).status_code == 403


@pytest.mark.parametrize("events", [[], ["webhook.test"], ["mailing.unknown"]])
async def test_a_webhook_wants_events_that_there_are(
    api: httpx.AsyncClient, receiver: Receiver, events: list[str]
) -> None:
    answer = await api.post("/api/webhook/", json={"name": "shop", "url": receiver.url, "events": events})
    assert answer.status_code == 422
