"""Duplicates and tests of a mailing."""

from datetime import timedelta

import httpx
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.ledger.counters import StatusMoves
from shared.statuses import MessageStatus
from tests.integration.ledger import query

FIELDS = {
    "starts_at": "2090-01-31T10:00:00Z",
    "expired_at": "2090-01-31T18:00:00Z",
    "text": "hello",
    "filter": {"code": [905], "tag": ["#t"]},
    "window": {"from": "09:00", "until": "21:00"},
    "rate": 5.0,
    "name": "Autumn sale",
    "kind": "service",
}
NEW_TIMES = {"starts_at": "2090-02-28T10:00:00Z", "expired_at": "2090-02-28T18:00:00Z"}


async def test_a_duplicate_has_all_fields_of_the_mailing_but_its_times(api: httpx.AsyncClient) -> None:
    source = (await api.post("/api/mailing/", json=FIELDS)).json()
    assert (await api.post("/api/mailing/1/cancel/")).status_code == 200
    answer = await api.post("/api/mailing/1/duplicate/", json=NEW_TIMES)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made == {**source, "id": 2, "created_at": made["created_at"], **NEW_TIMES}
    with_other_text = await api.post("/api/mailing/2/duplicate/", json={**NEW_TIMES, "text": "bye", "rate": None})
    assert with_other_text.json() == {
        **made,
        "id": 3,
        "created_at": with_other_text.json()["created_at"],
        "text": "bye",
        "rate": None,
    }


async def test_a_duplicate_needs_new_times_and_a_mailing(api: httpx.AsyncClient) -> None:
    await api.post("/api/mailing/", json=FIELDS)
    assert (await api.post("/api/mailing/1/duplicate/", json={})).status_code == 422
    past = {"starts_at": "2020-01-01T00:00:00Z", "expired_at": "2020-01-02T00:00:00Z"}
    assert (await api.post("/api/mailing/1/duplicate/", json=past)).status_code == 422
    assert (await api.post("/api/mailing/9/duplicate/", json=NEW_TIMES)).status_code == 404


async def test_a_duplicate_with_a_key_is_made_once(api: httpx.AsyncClient) -> None:
    await api.post("/api/mailing/", json=FIELDS)
    key = {"Idempotency-Key": "again"}
    answers = [await api.post("/api/mailing/1/duplicate/", json=NEW_TIMES, headers=key) for _ in range(2)]
    assert [answer.json()["id"] for answer in answers] == [2, 2]


async def test_a_test_sends_the_text_to_each_number_once(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await api.post("/api/mailing/", json=FIELDS)
    numbers = ["+7 905 000-00-00", "79050000001", "79050000000"]
    answer = await api.post("/api/mailing/1/test/", json={"numbers": numbers})
    assert answer.status_code == 200, answer.text
    sent = answer.json()["items"]
    assert [(item["number"], item["test_of"]) for item in sent] == [(79_050_000_000, 1), (79_050_000_001, 1)]
    (item,) = (await api.get("/api/message/", params={"number": "79050000001"})).json()["items"]
    assert (item["text"], item["test_of"], item["mailing_id"]) == ("hello", 1, None)
    assert await query(engine, "SELECT DISTINCT kind FROM mailings WHERE test_of = 1") == [("service",)]
    assert (await api.get("/api/mailing/1/")).json()["messages_status"]["total"] == 0
    assert [entry["id"] for entry in (await api.get("/api/mailing/")).json()["items"]] == [1]
    (entry, *_) = (await api.get("/api/audit/", params={"limit": 1})).json()["items"]
    assert (entry["operation"], entry["after"]["test_of"]) == ("mailing.test", 1)


async def test_the_statistics_do_not_count_tests(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await api.post("/api/mailing/", json=FIELDS)
    await api.post("/api/mailing/1/test/", json={"numbers": ["79050000000"]})
    await api.post("/api/message/", json={"number": "79050000001", "text": "hello"})
    async with transaction(engine) as connection:
        moves = StatusMoves()
        for mailing_id in (2, 3):  # of the test, and of the other single message
            moves.add(mailing_id, MessageStatus.NEW, MessageStatus.SENT, 1)
        await moves.apply(connection)
    assert await query(engine, "SELECT mailing_id, messages FROM progress") == [(0, 1)]


async def test_a_test_goes_to_ten_numbers_at_most(api: httpx.AsyncClient) -> None:
    await api.post("/api/mailing/", json=FIELDS)
    for numbers in ([], [79_050_000_000 + index for index in range(11)], ["12"]):
        assert (await api.post("/api/mailing/1/test/", json={"numbers": numbers})).status_code == 422
    assert (await api.post("/api/mailing/2/test/", json={"numbers": [79_050_000_000]})).status_code == 404


async def test_a_test_of_a_stopped_number_is_held_back_like_the_mailing(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    now = utc_now()
    times = {"starts_at": now.isoformat(), "expired_at": (now + timedelta(hours=1)).isoformat()}
    await api.post("/api/mailing/", json={**FIELDS, **times, "kind": "marketing"})
    await api.post("/api/mailing/1/test/", json={"numbers": [79_050_000_000]})
    assert await query(engine, "SELECT kind FROM mailings WHERE test_of = 1") == [("marketing",)]
