"""POST /api/message/ on a real database: single messages."""

from datetime import datetime, timedelta

import httpx
import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts import utc_now
from shared.database.transactions import transaction
from tests.integration.ledger import add_clients, add_mailing, claim, counters, query

ANNA, STRANGER = 79050000000, 79990000000


@pytest.mark.parametrize(
    ("to", "client_id", "number"),
    [
        ({"client": 2}, 2, ANNA + 1),
        ({"number": "+7 (905) 000-00-01"}, 2, ANNA + 1),
        ({"number": STRANGER}, None, STRANGER),
    ],
)
async def test_a_message_is_made_ready_to_be_released(
    api: httpx.AsyncClient, engine: AsyncEngine, to: dict[str, object], client_id: int | None, number: int
) -> None:
    await add_clients(engine, 3)
    sent = await api.post("/api/message/", json={**to, "text": "hello"}, headers={"X-Request-ID": "abc-1"})
    assert sent.status_code == 201, sent.text
    message = sent.json()
    assert datetime.fromisoformat(message["created_at"]).utcoffset() == timedelta(0)
    assert message == {
        "id": 1,
        "mailing_id": None,
        "client_id": client_id,
        "number": number,
        "status": "new",
        "reason": None,
        "created_at": message["created_at"],
        "settled_at": None,
        "tries": 0,
        "attempts": [],
        "test_of": None,
    }
    assert (await api.get("/api/message/1/")).json() == message
    assert await counters(engine, 1) == {"new": 1}
    kept = await query(
        engine,
        "SELECT state, request_id, expired_at - starts_at, started_at = starts_at AND expanded_at = starts_at,"
        " number FROM mailings",
    )
    assert kept == [("running", "abc-1", timedelta(hours=24), True, number if "number" in to else None)]
    entries = await query(engine, "SELECT body FROM outbox")
    assert [orjson.loads(bytes(body))["kind"] for (body,) in entries] == ["mailing.created"]  # type: ignore[call-overload]


async def test_a_message_can_be_released_at_once(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await add_clients(engine, 1)
    await api.post("/api/message/", json={"client": 1, "text": "hello"})
    async with transaction(engine) as connection:
        (job,) = await claim(connection, {1: 1}, utc_now() + timedelta(minutes=1), utc_now())
    assert job.text == "hello"
    assert (await api.get("/api/message/1/")).json()["status"] == "active"


async def test_a_message_to_a_number_goes_there_even_if_its_client_gets_another(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add_clients(engine, 1)
    await api.post("/api/message/", json={"number": ANNA, "text": "Your code is 1234"})
    await api.post("/api/message/", json={"client": 1, "text": "hello"})
    assert (await api.patch("/api/client/1/", json={"number": STRANGER})).status_code == 200
    async with transaction(engine) as connection:
        jobs = await claim(connection, {1: 1, 2: 1}, utc_now() + timedelta(minutes=1), utc_now())
    assert [job.messages[0].number for job in jobs] == [ANNA, STRANGER]
    assert [(await api.get(f"/api/message/{one}/")).json()["number"] for one in (1, 2)] == [ANNA, STRANGER]


async def test_a_message_expires_when_the_caller_says(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    body = {"number": STRANGER, "text": "hello", "expired_at": "2090-01-31T10:00:00"}
    assert (await api.post("/api/message", json=body)).status_code == 201
    assert (await query(engine, "SELECT expired_at::text FROM mailings")) == [("2090-01-31 10:00:00+00",)]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"number": STRANGER, "client": 1}, "body"),
        ({}, "body"),
        ({"number": None}, "body"),
        ({"number": "8 905 000-00-00"}, "number"),
        ({"client": 0}, "client"),
        ({"client": 2**63}, "client"),
        ({"number": STRANGER, "text": " "}, "text"),
        ({"number": STRANGER, "text": "a" * 501}, "text"),
        ({"number": STRANGER, "expired_at": "2020-01-01T00:00:00Z"}, "expired_at"),
        ({"number": STRANGER, "expired_at": "soon"}, "expired_at"),
        ({"number": STRANGER, "numbr": 1}, "numbr"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_field(
    api: httpx.AsyncClient, engine: AsyncEngine, wrong: dict[str, object], field: str
) -> None:
    refused = await api.post("/api/message/", json={"text": "hello", **wrong})
    assert refused.status_code == 422, refused.text
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert await query(engine, "SELECT 1 FROM mailings UNION ALL SELECT 1 FROM outbox") == []


async def test_an_unknown_client_gets_no_message(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    refused = await api.post("/api/message/", json={"client": 7, "text": "hello"})
    assert (refused.status_code, refused.json()["detail"]) == (404, "There is no client 7.")
    assert await query(engine, "SELECT 1 FROM mailings") == []


async def test_the_mailing_of_a_single_message_is_not_shown(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    shown = await add_mailing(engine)
    await api.post("/api/message/", json={"number": STRANGER, "text": "hello"})
    assert [one["id"] for one in (await api.get("/api/mailing/")).json()["items"]] == [shown]
    path = f"/api/mailing/{shown + 1}/"
    for method, wanted in (
        ("GET", path),
        ("GET", f"{path}messages/"),
        ("PUT", path),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}pause/"),
        ("POST", f"{path}resume/"),
        ("POST", f"{path}cancel/"),
        ("POST", f"{path}retry/"),
    ):
        body = {"status": ["failed"], "expired_at": "2090-01-01T00:00:00Z"} if wanted.endswith("retry/") else {}
        answer = await api.request(method, wanted, json=body)
        assert answer.status_code == 404, (method, wanted)


async def test_a_message_to_a_client_that_is_deleted_is_canceled(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add_clients(engine, 1)
    await api.post("/api/message/", json={"client": 1, "text": "hello"})
    await api.delete("/api/client/1/")
    message = (await api.get("/api/message/1/")).json()
    assert (message["status"], message["reason"], message["number"]) == ("canceled", "client", None)
