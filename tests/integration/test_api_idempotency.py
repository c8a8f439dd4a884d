"""Idempotency-Key on a real database: a repeated POST creates nothing."""

import asyncio
from datetime import timedelta

import httpx
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner import reaping
from services.planner.settings import PlannerSettings
from shared.contracts import utc_now
from tests.integration.api_client import eventually, waits_for_a_lock
from tests.integration.ledger import query

KEY = {"Idempotency-Key": "order 1234"}
ANNA: dict[str, object] = {"number": 79057003050, "tag": "#t", "zone": "Europe/Moscow"}
MESSAGE: dict[str, object] = {"number": 79057003050, "text": "hello"}
MAILING: dict[str, object] = {
    "starts_at": "2090-01-31T10:00:00Z",
    "expired_at": "2090-01-31T18:00:00Z",
    "text": "hello",
    "filter": "#t",
    "window": {"from": "09:00", "until": "21:00"},
    "rate": 5,
}
EACH = pytest.mark.parametrize(("noun", "body"), [("client", ANNA), ("mailing", MAILING), ("message", MESSAGE)])


async def count(engine: AsyncEngine, table: str) -> object:
    return (await query(engine, f"SELECT count(*) FROM {table}"))[0][0]


@EACH
async def test_the_same_request_gets_the_first_answer_again(
    api: httpx.AsyncClient, engine: AsyncEngine, noun: str, body: dict[str, object]
) -> None:
    first = await api.post(f"/api/{noun}/", json=body, headers=KEY)
    assert first.status_code == 201, first.text
    shown = (await api.get(f"/api/{noun}/1/")).json()
    assert first.json() == {name: shown[name] for name in first.json()}
    entries = await count(engine, "outbox")
    again = await api.post(f"/api/{noun}", json=body, headers=KEY)
    assert (again.status_code, again.content) == (201, first.content)
    assert again.headers["content-type"] == first.headers["content-type"] == "application/json"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert (await count(engine, f"{noun}s"), await count(engine, "outbox")) == (1, entries)


@EACH
async def test_many_at_once_create_one(
    api: httpx.AsyncClient, engine: AsyncEngine, noun: str, body: dict[str, object]
) -> None:
    answers = await asyncio.gather(*(api.post(f"/api/{noun}/", json=body, headers=KEY) for _ in range(40)))
    assert await count(engine, f"{noun}s") == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.content for answer in answers if answer.status_code == 201}) == 1
    kinds = {answer.json()["type"] for answer in answers if answer.status_code == 409}
    assert kinds <= {"urn:mailing:problem:key-in-flight"}


async def test_another_request_needs_another_key(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await api.post("/api/message/", json=MESSAGE, headers=KEY)
    for noun, body in (("message", {**MESSAGE, "text": "bye"}), ("client", ANNA), ("mailing", MAILING)):
        refused = await api.post(f"/api/{noun}/", json=body, headers=KEY)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:mailing:problem:key-reused")
        assert [error["field"] for error in refused.json()["errors"]] == ["Idempotency-Key"]
    assert (await api.post("/api/message/", json=MESSAGE, headers={"Idempotency-Key": "2"})).status_code == 201
    assert (await count(engine, "messages"), await count(engine, "clients")) == (2, 0)


async def test_a_request_without_a_key_is_never_a_repetition(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    for _ in range(2):
        assert (await api.post("/api/message/", json=MESSAGE)).status_code == 201
    assert (await count(engine, "messages"), await count(engine, "idempotency_keys")) == (2, 0)


async def test_while_the_first_is_under_way_the_others_are_put_off(
    api: httpx.AsyncClient, database_url: str
) -> None:
    async with (
        await psycopg.AsyncConnection.connect(database_url) as other,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watch,
    ):
        await other.execute("INSERT INTO clients (number, tag, zone) VALUES (79057003050, '#t', 'Europe/Moscow')")
        first = asyncio.create_task(api.post("/api/client/", json=ANNA, headers=KEY))
        await eventually(lambda: waits_for_a_lock(watch))
        second = await api.post("/api/client/", json=ANNA, headers=KEY)
        assert (second.status_code, second.json()["type"]) == (409, "urn:mailing:problem:key-in-flight")
        await other.rollback()
        assert (await first).status_code == 201
    again = await api.post("/api/client/", json=ANNA, headers=KEY)
    assert (again.status_code, again.content) == (201, (await first).content)


async def test_a_refusal_is_not_stored(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    message = {"client": 1, "text": "hello"}
    assert (await api.post("/api/message/", json=message, headers=KEY)).status_code == 404
    assert await count(engine, "idempotency_keys") == 0
    await api.post("/api/client/", json=ANNA)
    assert (await api.post("/api/message/", json=message, headers=KEY)).status_code == 201


async def test_after_a_day_a_key_is_new(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await api.post("/api/message/", json=MESSAGE, headers=KEY)
    await age(engine, timedelta(hours=25))
    other = {**MESSAGE, "text": "bye"}
    second = await api.post("/api/message/", json=other, headers=KEY)
    assert (second.status_code, second.json()["id"]) == (201, 2)
    assert (await api.post("/api/message/", json=other, headers=KEY)).content == second.content
    assert await count(engine, "messages") == 2


@pytest.mark.parametrize("key", [b"", b"a" * 256, b"a\tb", b"a\x7f", "ключ".encode()])
async def test_an_invalid_key_is_refused(api: httpx.AsyncClient, engine: AsyncEngine, key: bytes) -> None:
    refused = await api.post("/api/message/", json=MESSAGE, headers={b"Idempotency-Key": key})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == ["Idempotency-Key"]
    assert await count(engine, "messages") == 0


async def test_a_key_of_255_characters_is_accepted(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    key = {"Idempotency-Key": "~" * 255}
    for _ in range(2):
        assert (await api.post("/api/message/", json=MESSAGE, headers=key)).status_code == 201
    assert await count(engine, "messages") == 1


async def test_old_keys_are_removed_bit_by_bit(
    engine: AsyncEngine, settings: PlannerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reaping, "MAX_ROWS", 2)
    await query(
        engine,
        "INSERT INTO idempotency_keys SELECT n::text, '', '', now() - make_interval(hours => n)"
        " FROM generate_series(22, 27) n RETURNING 1",
    )
    turn = reaping.ReapRound(engine, settings, utc_now())
    assert await reaping.reap(turn) is True
    assert await query(engine, "SELECT key FROM idempotency_keys ORDER BY key") == [
        ("22",), ("23",), ("24",), ("25",)
    ]  # fmt: skip
    assert await reaping.reap(turn) is True
    assert await reaping.reap(turn) is False
    assert await query(engine, "SELECT key FROM idempotency_keys ORDER BY key") == [("22",), ("23",)]


async def age(engine: AsyncEngine, by: timedelta) -> None:
    await query(
        engine, "UPDATE idempotency_keys SET created_at = created_at - CAST(:by AS interval) RETURNING 1", by=by
    )
