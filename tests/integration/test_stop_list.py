"""The stop list: its API, and what it keeps from being sent."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.expansion import expand_batch
from services.planner.settings import PlannerSettings
from shared.contracts import utc_now
from shared.database.transactions import transaction
from tests.integration.ledger import add_clients, claim, counters, query

FIRST = 79_050_000_000
CSV = {"Content-Type": "text/csv"}


async def stop(api: httpx.AsyncClient, number: int, scope: str = "marketing") -> dict[str, object]:
    answer = await api.post("/api/stop/", json={"number": number, "scope": scope, "source": "call center"})
    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert isinstance(body, dict)
    return body


async def create_mailing(api: httpx.AsyncClient, kind: str) -> int:
    now = utc_now()
    body = {
        "starts_at": now.isoformat(),
        "expired_at": (now + timedelta(hours=1)).isoformat(),
        "text": "hello",
        "filter": "#t",
        "kind": kind,
        "name": "Autumn sale",
    }
    preview = await api.post("/api/mailing/preview/", json=body)
    assert preview.status_code == 200, preview.text
    assert preview.json()["recipients"] == 10
    assert preview.json()["stopped"] == (2 if kind == "marketing" else 1)
    answer = await api.post("/api/mailing/", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.json()["name"] == "Autumn sale"
    return int(answer.json()["id"])


@pytest.mark.parametrize(("kind", "stopped"), [("marketing", [1, 2]), ("service", [2])])
async def test_a_number_on_the_list_gets_nothing_of_the_kinds_that_it_stops(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings, kind: str, stopped: list[int]
) -> None:
    await add_clients(engine, 10)
    await stop(api, FIRST)
    await stop(api, FIRST + 1, "all")
    mailing_id = await create_mailing(api, kind)
    await expand_batch(engine, mailing_id, chunk=100, batch=100, now=utc_now())
    now = utc_now()
    async with transaction(engine) as connection:
        (job,) = await claim(connection, {mailing_id: 10}, now + timedelta(minutes=1), now)
    assert {message.number for message in job.messages}.isdisjoint({FIRST + client - 1 for client in stopped})
    assert await counters(engine, mailing_id) == {"active": 10 - len(stopped), "canceled": len(stopped)}
    rows = await query(
        engine, "SELECT client_id, reason FROM messages WHERE status = 'canceled' ORDER BY client_id"
    )
    assert rows == [(client, "stopped") for client in stopped]
    reasons = (await api.get(f"/api/mailing/{mailing_id}/reasons/")).json()["items"]
    assert reasons == [{"status": "canceled", "reason": "stopped", "messages": len(stopped), "answers": []}]


async def test_somebody_who_is_stopped_in_mid_mailing_gets_nothing_of_the_next_release(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 20)
    await stop(api, FIRST + 500)  # of nobody
    now = utc_now()
    body = {
        "starts_at": now.isoformat(),
        "expired_at": (now + timedelta(hours=1)).isoformat(),
        "text": "hello",
        "filter": "#t",
    }
    mailing_id = (await api.post("/api/mailing/", json=body)).json()["id"]
    await expand_batch(engine, mailing_id, chunk=10, batch=100, now=now)
    async with transaction(engine) as connection:
        (first,) = await claim(connection, {mailing_id: 10}, now + timedelta(minutes=1), now)
    waiting = {FIRST + number for number in range(20)} - {message.number for message in first.messages}
    await stop(api, min(waiting))
    async with transaction(engine) as connection:
        (second,) = await claim(connection, {mailing_id: 10}, now + timedelta(minutes=1), now)
    assert {message.number for message in second.messages} == waiting - {min(waiting)}


@pytest.mark.parametrize(
    ("scope", "kind", "is_sent"),
    [("marketing", "service", True), ("marketing", "marketing", False), ("all", "service", False)],
)
async def test_a_single_message_is_held_back_by_its_kind(
    api: httpx.AsyncClient, engine: AsyncEngine, scope: str, kind: str, is_sent: bool
) -> None:
    await stop(api, FIRST, scope)
    answer = await api.post("/api/message/", json={"number": FIRST, "text": "hello", "kind": kind})
    assert answer.status_code == 201, answer.text
    now = utc_now()
    async with transaction(engine) as connection:
        jobs = await claim(connection, {1: 1}, now + timedelta(minutes=1), now)
    assert len(jobs) == is_sent
    message = (await api.get(f"/api/message/{answer.json()['id']}/")).json()
    assert message["reason"] == (None if is_sent else "stopped")


async def test_entries_are_added_changed_listed_and_removed(api: httpx.AsyncClient) -> None:
    first = await stop(api, FIRST)
    second = await stop(api, FIRST + 1, "all")
    taken = await api.post("/api/stop/", json={"number": FIRST})
    assert taken.status_code == 409
    assert taken.json()["errors"] == [{"field": "number", "message": "is on the stop list already"}]
    listed = (await api.get("/api/stop/", params={"limit": 1})).json()
    assert listed == {"items": [second], "next": second["id"]}
    assert (await api.get("/api/stop/", params={"after": str(second["id"])})).json()["items"] == [first]
    assert (await api.get("/api/stop/", params={"number": str(FIRST)})).json()["items"] == [first]
    path = f"/api/stop/{first['id']}/"
    changed = (await api.patch(path, json={"scope": "all"})).json()
    assert changed == {**first, "scope": "all"}
    assert (await api.put(path, json=changed)).json() == changed
    assert (await api.get(path)).json() == changed
    assert (await api.delete(path)).status_code == 204
    for answer in (await api.get(path), await api.delete(path), await api.patch(path, json={"note": "x"})):
        assert answer.status_code == 404
    audited = (await api.get("/api/audit/", params={"limit": 4})).json()["items"]
    assert [entry["operation"] for entry in audited] == [
        "stop.delete",
        "stop.change",
        "stop.change",
        "stop.create",
    ]
    assert str(FIRST) not in str(audited)


async def test_the_list_goes_out_as_csv_and_comes_back_unchanged(api: httpx.AsyncClient) -> None:
    rows = 'number,scope,source,note\n79050000000,marketing,"a, b",\n79050000001,all,web,"said ""no"""\n'
    imported = (await api.post("/api/stop/import/", content=rows, headers=CSV)).json()
    assert imported["added"] == 2
    exported = (await api.get("/api/stop/export/")).text
    again = (await api.post("/api/stop/import/", content=exported, headers=CSV)).json()
    assert (again["rows"], again["unchanged"]) == (2, 2)
    assert (await api.get("/api/stop/export/")).text == exported


async def test_wrong_rows_of_a_file_cost_themselves_alone(api: httpx.AsyncClient) -> None:
    rows = "\ufeffNumber;\nnumber,scope\r\n"
    refused = await api.post("/api/stop/import/", content=rows.encode(), headers=CSV)
    assert refused.status_code == 422
    rows = 'number,scope\r\n79050000000,\r\n"79050000001,all\r\n12,all\r\n79050000002,some\r'
    rows += "79050000003,all,x\n\n+7 905 000-00-00,all"
    imported = (await api.post("/api/stop/import/", content=rows, headers=CSV)).json()
    assert [rejection["line"] for rejection in imported["rejections"]] == [3, 4, 5, 6]
    assert imported["rows"] == 6
    assert (imported["added"], imported["repeated"], imported["rejected"]) == (1, 1, 4)
    assert (await api.get("/api/stop/")).json()["items"][0]["scope"] == "all"
