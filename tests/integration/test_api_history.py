"""GET /api/message/ on a real database: all messages to one person."""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.settings import PlannerSettings
from tests.integration.ledger import add_clients, add_mailing, expand_all, query

ANNA, STRANGER = 79050000000, 79990000000


async def send(api: httpx.AsyncClient, number: int, text: str = "hello") -> int:
    answer = await api.post("/api/message/", json={"number": number, "text": text})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def history_of(api: httpx.AsyncClient, **params: object) -> list[dict[str, object]]:
    answer = await api.get("/api/message/", params={name: str(value) for name, value in params.items()})
    assert answer.status_code == 200, answer.text
    items = answer.json()["items"]
    assert isinstance(items, list)
    return items


async def test_the_history_shows_a_message_with_its_mailing_and_its_attempts(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 2)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    await query(
        engine,
        "UPDATE messages SET status = 'failed', reason = 'answer', settled_at = '2030-01-01T10:00:00Z', tries = 2"
        " WHERE id = 1 RETURNING 1",
    )
    await query(
        engine,
        "INSERT INTO attempts VALUES (1, '2030-01-01T10:00:00Z', 'sender-2', 'rejected', 400, 'no', 7),"
        " (1, '2030-01-01T09:00:00Z', 'sender-2', 'deferred', 503, 'busy', 9) RETURNING 1",
    )
    mailing = (await api.get(f"/api/mailing/{mailing_id}/")).json()
    (item,) = await history_of(api, client=1)
    (detail,) = [(await api.get("/api/message/1/")).json()]
    assert item == {
        **detail,
        **{name: mailing[name] for name in ("text", "starts_at", "expired_at", "state", "paused")},
        "due_at": None,
    }
    assert item["reason"] == "answer"
    assert [one["outcome"] for one in detail["attempts"]] == ["deferred", "rejected"]
    assert await history_of(api, number="+7 905 000-00-00") == [item]


async def test_a_waiting_message_shows_when_it_is_due_and_if_its_mailing_is_paused(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 1)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    await query(engine, "UPDATE jobs SET due_at = '2090-01-01T00:00:00Z' RETURNING 1")
    await api.post(f"/api/mailing/{mailing_id}/pause/")
    (item,) = await history_of(api, client=1)
    assert (item["status"], item["due_at"], item["paused"]) == ("new", "2090-01-01T00:00:00Z", True)


async def test_a_plain_acceptance_is_among_the_attempts(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await send(api, STRANGER)
    await query(
        engine,
        "UPDATE messages SET status = 'sent', settled_at = '2030-01-01T10:00:00Z', duration_ms = 7 RETURNING 1",
    )
    (item,) = await history_of(api, number=STRANGER)
    assert item["attempts"] == (await api.get("/api/message/1/")).json()["attempts"]
    assert [one["outcome"] for one in item["attempts"]] == ["accepted"]  # type: ignore[attr-defined]


async def test_messages_to_a_number_belong_to_the_client_that_has_it_later(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    first = await send(api, ANNA, "before")
    await add_clients(engine, 1)
    second = await send(api, ANNA, "after")
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    await send(api, STRANGER)
    for who in ({"number": ANNA}, {"client": 1}):
        items = await history_of(api, **who)
        assert [(one["id"], one["mailing_id"], one["text"]) for one in items] == [
            (second + 1, mailing_id, "hello"),
            (second, None, "after"),
            (first, None, "before"),
        ]
        assert {one["number"] for one in items} == {ANNA}


async def test_pages_show_every_message_once_newest_first(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    sent = [await send(api, STRANGER) for _ in range(7)]
    first = (await api.get("/api/message/", params={"number": STRANGER, "limit": 4})).json()
    rest = (await api.get("/api/message/", params={"number": STRANGER, "limit": 4, "after": first["next"]})).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == sent[::-1]
    assert (len(first["items"]), rest["next"]) == (4, None)


async def test_a_deleted_client_has_a_history_and_an_unknown_one_has_none(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add_clients(engine, 2)
    await api.post("/api/message/", json={"client": 1, "text": "hello"})
    await api.delete("/api/client/1/")
    assert [(one["status"], one["number"]) for one in await history_of(api, client=1)] == [("canceled", None)]
    assert await history_of(api, client=2) == []
    assert (await api.get("/api/message/", params={"client": 3})).status_code == 404
    assert await history_of(api, number=STRANGER) == []


async def test_messages_of_a_deleted_mailing_are_gone(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 1)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    await api.delete(f"/api/mailing/{mailing_id}/")
    assert await history_of(api, client=1) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "number"),
        ("client=1&number=79050000000", "number"),
        ("number=12", "number"),
        ("client=0", "client"),
        ("client=x", "client"),
        ("client=1&limit=1001", "limit"),
        ("client=1&after=0", "after"),
    ],
)
async def test_a_wrong_parameter_is_refused(api: httpx.AsyncClient, query: str, field: str) -> None:
    refused = await api.get(f"/api/message/?{query}")
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
