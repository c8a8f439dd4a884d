"""/api/mailing/ and /api/message/ on a real database."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import httpx
import orjson
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.settings import PlannerSettings
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.statuses import MessageStatus
from tests.integration.api_client import eventually, waits_for_a_lock
from tests.integration.ledger import add_clients, add_mailing, claim, counters, expand_all, query

HELLO = {
    "starts_at": "2090-01-31T10:00:00Z",
    "expired_at": "2090-01-31T18:00:00Z",
    "text": "hello",
    "filter": {"tag": ["#t"]},
}
NO_MESSAGES = dict.fromkeys([*MessageStatus, "total"], 0)


@pytest.fixture
def chunk_size() -> int:
    return 2


async def create(api: httpx.AsyncClient, **fields: object) -> int:
    answer = await api.post("/api/mailing/", json={**HELLO, **fields})
    assert answer.status_code == 201, answer.text
    mailing_id = answer.json()["id"]
    assert isinstance(mailing_id, int)
    return mailing_id


async def outbox_of(engine: AsyncEngine) -> list[tuple[str, object]]:
    """Return the content of the outbox: kinds of events, and revisions of stops."""
    rows = await query(engine, "SELECT exchange, body FROM outbox ORDER BY id")
    bodies = [(exchange, orjson.loads(bytes(body))) for exchange, body in rows]  # type: ignore[call-overload]
    return [
        ("stop", body["revisions"]) if exchange == "mailing.control" else (body["kind"], body["mailing_id"])
        for exchange, body in bodies
    ]


async def set_state(engine: AsyncEngine, mailing_id: int, state: str) -> None:
    await query(
        engine,
        "UPDATE mailings SET state = CAST(:state AS mailing_state) WHERE id = :id RETURNING 1",
        state=state,
        id=mailing_id,
    )


async def test_a_mailing_is_created_with_its_counters_and_its_event(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    created = await api.post("/api/mailing/", json=HELLO, headers={"X-Request-ID": "abc-1"})
    assert created.status_code == 201
    body = created.json()
    assert datetime.fromisoformat(body.pop("created_at")).utcoffset() == timedelta(0)
    assert body == {
        **HELLO,
        "id": 1,
        "window": None,
        "rate": None,
        "name": None,
        "kind": "marketing",
        "parts": 1,
        "state": "scheduled",
        "paused": False,
        "stop": None,
        "started_at": None,
        "finished_at": None,
        "messages_status": NO_MESSAGES,
    }
    assert await outbox_of(engine) == [("mailing.created", 1)]
    assert await query(engine, "SELECT request_id FROM mailings") == [("abc-1",)]
    assert b'"abc-1"' in (await query(engine, "SELECT body FROM outbox"))[0][0]  # type: ignore[operator]
    shown = (await api.get("/api/mailing/1/")).json()
    assert shown == {**created.json(), "messages": []}


async def test_times_without_an_offset_are_utc_and_others_are_given_back_in_utc(api: httpx.AsyncClient) -> None:
    mailing_id = await create(api, starts_at="2090-01-31 10:00", expired_at="2090-02-01T01:30:00.250+03:00")
    shown = (await api.get(f"/api/mailing/{mailing_id}/")).json()
    assert shown["starts_at"] == "2090-01-31T10:00:00Z"
    assert shown["expired_at"] == "2090-01-31T22:30:00.250000Z"


@pytest.mark.parametrize(
    ("given", "kept"),
    [("905", {"code": [905]}), ("#x", {"tag": ["#x"]}), ({"zone": "Asia/Omsk"}, {"zone": ["Asia/Omsk"]})],
)
async def test_a_filter_comes_back_as_an_object(api: httpx.AsyncClient, given: object, kept: object) -> None:
    mailing_id = await create(api, filter=given)
    assert (await api.get(f"/api/mailing/{mailing_id}/")).json()["filter"] == kept


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"starts_at": "2090-01-31"}, "starts_at"),
        ({"starts_at": 1900000000}, "starts_at"),
        ({"starts_at": None}, "starts_at"),
        ({"expired_at": "9999-12-31T23:59:59-01:00"}, "expired_at"),
        ({"expired_at": HELLO["starts_at"]}, "expired_at"),
        ({"starts_at": "2020-01-01T00:00:00", "expired_at": "2020-01-02T00:00:00"}, "expired_at"),
        ({"text": ""}, "text"),
        ({"text": " \n"}, "text"),
        ({"text": "a" * 501}, "text"),
        ({"text": "a\0"}, "text"),
        ({"text": None}, "text"),
        ({"text": ["a"]}, "text"),
        ({"filter": ""}, "filter.tag.0"),
        ({"filter": {}}, "filter"),
        ({"filter": None}, "filter"),
        ({"filter": {"code": []}}, "filter.code"),
        ({"filter": {"zone": ["Mars/Base"]}}, "filter.zone.0"),
        ({"filter": {"tag": ["a", "b\0"]}}, "filter.tag.1"),
        ({"window": {"from": "09:00"}}, "window.until"),
        ({"window": {"from": "09:00", "until": "09:00"}}, "window.until"),
        ({"window": {"from": "9:00", "until": "21:00"}}, "window.from"),
        ({"window": {"from": "09:00", "until": "24:00"}}, "window.until"),
        ({"window": {"from": "09:00", "until": 21}}, "window.until"),
        ({"window": {"from": "09:00", "until": "21:00", "to": "22:00"}}, "window.to"),
        ({"window": "09:00-21:00"}, "window"),
        ({"rate": 0}, "rate"),
        ({"rate": 100_001}, "rate"),
        ({"rate": "5"}, "rate"),
        ({"rate": True}, "rate"),
        ({"tetx": "hello"}, "tetx"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_field(
    api: httpx.AsyncClient, engine: AsyncEngine, wrong: dict[str, object], field: str
) -> None:
    mailing_id = await create(api)
    before = (await api.get(f"/api/mailing/{mailing_id}/")).json()
    created = await api.post("/api/mailing/", json={**HELLO, **wrong})
    changed = await api.patch(f"/api/mailing/{mailing_id}/", json=wrong)
    for refused in (created, changed):
        assert refused.status_code == 422, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert (await api.get(f"/api/mailing/{mailing_id}/")).json() == before
    assert len(await outbox_of(engine)) == 1
    assert await query(engine, "SELECT count(*) FROM mailings") == [(1,)]


async def test_pages_show_the_newest_first_and_no_deleted_mailing(api: httpx.AsyncClient) -> None:
    ids = [await create(api) for _ in range(7)]
    await api.delete(f"/api/mailing/{ids[3]}/")
    first = (await api.get("/api/mailing/", params={"limit": 4})).json()
    rest = (await api.get("/api/mailing/", params={"limit": 4, "after": first["next"]})).json()
    assert [one["id"] for one in first["items"]] == [7, 6, 5, 3]
    assert [one["id"] for one in rest["items"]] == [2, 1]
    assert rest["next"] is None
    assert first["items"][0]["messages_status"] == NO_MESSAGES


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_leaves_the_rest_and_publishes_an_event(
    api: httpx.AsyncClient, engine: AsyncEngine, method: str
) -> None:
    path = f"/api/mailing/{await create(api)}/"
    before = (await api.get(path)).json()
    changed = await api.request(method, path, json={"starts_at": "2020-01-01T00:00:00"})
    assert changed.json() == {**_without_messages(before), "starts_at": "2020-01-01T00:00:00Z"}
    again = await api.request(method, path, json=(await api.get(path)).json())
    assert (again.status_code, again.json()) == (200, changed.json())
    assert await outbox_of(engine) == [("mailing.created", 1), ("mailing.changed", 1)]


async def test_everything_of_a_scheduled_mailing_can_change_at_once(api: httpx.AsyncClient) -> None:
    path = f"/api/mailing/{await create(api)}/"
    wanted = {
        "starts_at": "2091-01-01T00:00:00Z",
        "expired_at": "2091-01-02T00:00:00Z",
        "text": "bye",
        "filter": {"code": [905]},
    }
    assert (await api.patch(path, json=wanted)).status_code == 200
    shown = (await api.get(path)).json()
    assert {name: shown[name] for name in wanted} == wanted


async def test_the_filter_of_a_started_mailing_is_fixed_and_the_rest_is_not(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    mailing_id = await create(api)
    await set_state(engine, mailing_id, "running")
    path = f"/api/mailing/{mailing_id}/"
    refused = await api.patch(path, json={"filter": "905", "text": "bye"})
    assert refused.status_code == 409
    assert "filter" in refused.json()["detail"]
    assert (await api.get(path)).json()["text"] == "hello"
    same = await api.patch(path, json={"filter": "#t", "text": "bye", "expired_at": "2090-02-01T00:00:00Z"})
    assert same.status_code == 200
    assert same.json()["text"] == "bye"


DAYTIME = {"from": "09:00", "until": "21:00"}
NIGHT = {"from": "21:00", "until": "00:00"}


async def test_a_window_and_a_rate_are_stored_changed_and_removed(api: httpx.AsyncClient) -> None:
    path = f"/api/mailing/{await create(api, window=DAYTIME, rate=0.1)}/"
    for change, window, rate in (
        ({"text": "bye"}, DAYTIME, 0.1),
        ({"window": NIGHT}, NIGHT, 0.1),
        ({"rate": 250}, NIGHT, 250),
        ({"window": None}, None, 250),
        ({"rate": None, "window": DAYTIME}, DAYTIME, None),
    ):
        changed = (await api.patch(path, json=change)).json()
        assert (changed["window"], changed["rate"]) == (window, rate)
        assert _without_messages((await api.get(path)).json()) == changed
    unchanged = await api.put(path, json=(await api.get(path)).json())
    assert (unchanged.status_code, unchanged.json()) == (200, changed)


async def test_another_window_of_a_running_mailing_recalls_its_jobs_and_plans_the_rest_anew(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    mailing_id, other = await create(api, window=DAYTIME), await create(api, window=DAYTIME)
    await set_state(engine, mailing_id, "running")
    await query(
        engine,
        "INSERT INTO jobs (mailing_id, due_at, send_before, zone, size, open, state)"
        " SELECT mailing_id, now() + interval '1 h', now() + interval '2 h', zone, 1, 1, state::job_state"
        " FROM (VALUES (:id, 'Asia/Omsk', 'planned'), (:id, NULL, 'planned'), (:id, 'Asia/Omsk', 'released'),"
        " (:id, 'Asia/Omsk', 'done'), (:other, 'Asia/Omsk', 'planned')) AS job(mailing_id, zone, state)"
        " RETURNING 1",
        id=mailing_id,
        other=other,
    )
    path = f"/api/mailing/{mailing_id}/"
    await api.patch(path, json={"text": "bye", "rate": 5})
    assert await jobs_to_replan(engine) == []
    await api.patch(path, json={"window": NIGHT})
    assert await jobs_to_replan(engine) == [(1, True), (3, True)]
    assert (await outbox_of(engine))[2:] == [
        ("stop", {"1": 1}),  # for the rate: there was none before
        ("mailing.changed", 1),
        ("stop", {"1": 2}),
        ("mailing.changed", 1),
    ]


async def jobs_to_replan(engine: AsyncEngine) -> Sequence[tuple[object, ...]]:
    """Return the jobs whose opening is over, and if they are due."""
    return await query(engine, "SELECT id, due_at <= now() FROM jobs WHERE send_before <= now() ORDER BY id")


async def test_only_a_lower_rate_recalls_jobs(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    mailing_id = await create(api, rate=10)
    await set_state(engine, mailing_id, "running")
    for rate, revision in ((11, 0), (None, 0), (12, 1), (10, 2), (10.5, 2)):
        await api.patch(f"/api/mailing/{mailing_id}/", json={"rate": rate})
        assert await query(engine, "SELECT revision FROM mailings") == [(revision,)], rate


@pytest.mark.parametrize("state", ["finished", "canceled"])
async def test_an_ended_mailing_cannot_change(api: httpx.AsyncClient, engine: AsyncEngine, state: str) -> None:
    mailing_id = await create(api)
    await set_state(engine, mailing_id, state)
    for change in ({"text": "bye"}, {"starts_at": "2020-01-01T00:00"}, {"expired_at": "2091-01-01T00:00"}):
        refused = await api.patch(f"/api/mailing/{mailing_id}/", json=change)
        assert refused.status_code == 409
        assert state in refused.json()["detail"]
    for control in ("pause", "resume"):
        refused = await api.post(f"/api/mailing/{mailing_id}/{control}/")
        assert refused.status_code == 409
        assert state in refused.json()["detail"]


async def test_a_change_is_decided_on_the_state_that_it_writes_to(
    api: httpx.AsyncClient, database_url: str
) -> None:
    path = f"/api/mailing/{await create(api)}/"
    async with (
        await psycopg.AsyncConnection.connect(database_url) as planner,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watch,
    ):
        await planner.execute("UPDATE mailings SET state = 'running', started_at = now()")
        change = asyncio.create_task(api.patch(path, json={"filter": "905"}))
        await eventually(lambda: waits_for_a_lock(watch))
        await planner.commit()
        assert (await change).status_code == 409
    assert (await api.get(path)).json()["filter"] == HELLO["filter"]


async def test_a_deleted_mailing_is_not_shown(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 1)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    path = f"/api/mailing/{mailing_id}/"
    deleted = await api.delete(path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert await outbox_of(engine) == [("stop", {str(mailing_id): 1}), ("mailing.deleted", mailing_id)]
    assert await query(engine, "SELECT state, revision, stopped_at IS NULL, finished_at FROM mailings") == [
        ("deleted", 1, False, None)
    ]
    assert (await api.get("/api/message/1/")).status_code == 404
    for method, wanted in (
        ("GET", path),
        ("GET", f"{path}messages/"),
        ("PATCH", path),
        ("DELETE", path),
        ("POST", f"{path}pause/"),
        ("POST", f"{path}resume/"),
        ("POST", f"{path}cancel/"),
    ):
        answer = await api.request(method, wanted, json={} if method == "PATCH" else None)
        assert answer.status_code == 404, wanted


async def test_pausing_and_resuming_twice_is_doing_it_once(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    path = f"/api/mailing/{await create(api)}/"
    for control, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        answer = await api.post(f"{path}{control}")
        assert (answer.status_code, answer.json()["paused"]) == (200, paused)
    assert (await api.get(path)).json()["paused"] is False
    assert (await outbox_of(engine))[1:] == [
        ("stop", {"1": 1}),
        ("mailing.stopped", 1),
        ("mailing.resumed", 1),
    ]
    await api.post(f"{path}pause/")
    assert ("stop", {"1": 2}) in await outbox_of(engine)


async def test_a_paused_mailing_can_be_canceled_and_stays_so(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    path = f"/api/mailing/{await create(api)}/"
    await api.post(f"{path}pause/")
    for _ in range(2):
        answer = await api.post(f"{path}cancel/")
        assert answer.status_code == 200
        assert (answer.json()["state"], answer.json()["paused"]) == ("canceled", False)
    assert [kind for kind, _ in await outbox_of(engine)] == [
        "mailing.created",
        *("stop", "mailing.stopped") * 2,
    ]
    assert await query(engine, "SELECT revision, finished_at FROM mailings") == [(2, None)]
    assert (await api.post(f"{path}resume/")).status_code == 409


async def test_a_finished_mailing_cannot_be_canceled(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    mailing_id = await create(api)
    await set_state(engine, mailing_id, "finished")
    refused = await api.post(f"/api/mailing/{mailing_id}/cancel/")
    assert refused.status_code == 409
    assert (await api.get(f"/api/mailing/{mailing_id}/")).json()["state"] == "finished"


async def test_messages_are_shown_with_what_their_jobs_are_doing(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 5)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)  # jobs of the clients 1 and 4, 2 and 5, and 3
    async with transaction(engine) as connection:
        await claim(connection, {mailing_id: 2}, utc_now() + timedelta(minutes=1), utc_now())
    assert await counters(engine, mailing_id) == {"active": 2, "new": 3}
    await api.delete("/api/client/5/")

    detail = (await api.get(f"/api/mailing/{mailing_id}/")).json()
    assert detail["messages_status"] == {**NO_MESSAGES, "active": 2, "new": 2, "canceled": 1, "total": 5}
    messages = detail["messages"]
    assert [one["status"] for one in messages] == ["active", "new", "new", "active", "canceled"]
    assert [one["number"] for one in messages] == [79050000000 + n for n in range(4)] + [None]
    assert [one["settled_at"] is None for one in messages] == [True] * 4 + [False]
    assert [one["reason"] for one in messages] == [None] * 4 + ["client"]
    assert messages[0].keys() == {
        "id", "mailing_id", "client_id", "number", "status", "reason", "created_at", "settled_at", "tries"
    }  # fmt: skip
    for status in MessageStatus:
        page = (await api.get(f"/api/mailing/{mailing_id}/messages/", params={"status": status})).json()
        assert page == {"items": [one for one in messages if one["status"] == status], "next": None}


async def test_pages_of_messages_show_every_one_once(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 120)
    other, mailing_id = await add_mailing(engine), await add_mailing(engine)
    await expand_all(engine, other, settings)
    await expand_all(engine, mailing_id, settings)
    path = f"/api/mailing/{mailing_id}/messages"
    seen: list[int] = []
    after: dict[str, int] = {}
    while True:
        page = (await api.get(path, params={"limit": 50, "status": "new", **after})).json()
        seen += [one["client_id"] for one in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == list(range(1, 121))
    detail = (await api.get(f"/api/mailing/{mailing_id}/")).json()
    assert [one["client_id"] for one in detail["messages"]] == list(range(1, 101))
    assert (await api.get(path, params={"status": "lost"})).status_code == 422
    assert (await api.get("/api/mailing/99/messages/")).status_code == 404


async def test_a_message_shows_its_attempts(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 4)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    for statement in (
        "UPDATE messages SET status = 'sent', settled_at = '2030-01-01T10:00:00Z', duration_ms = 7 WHERE id <= 3"
        " RETURNING 1",
        "UPDATE messages SET tries = 1 WHERE id IN (2, 3) RETURNING 1",
        "UPDATE jobs SET sender = 'sender-1' RETURNING 1",
        "INSERT INTO attempts VALUES (2, '2030-01-01T10:00:00Z', 'sender-2', 'accepted', 200, 'OK', 7),"
        " (2, '2030-01-01T09:00:00Z', 'sender-2', 'deferred', 503, 'busy', 9) RETURNING 1",
    ):
        await query(engine, statement)
    at_once, in_the_end, untold, not_yet = [(await api.get(f"/api/message/{n}/")).json() for n in (1, 2, 3, 4)]
    assert at_once["attempts"] == [
        {
            "at": "2030-01-01T09:59:59.993000Z",  # when the POST began: it took 7 ms to settle the message
            "sender": "sender-1",
            "outcome": "accepted",
            "provider_status": 200,
            "provider_text": None,
            "duration_ms": 7,
        }
    ]
    assert at_once["mailing_id"] == mailing_id
    assert [(one["outcome"], one["sender"]) for one in in_the_end["attempts"]] == [
        ("deferred", "sender-2"),
        ("accepted", "sender-2"),
    ]
    assert untold["attempts"] == [], "nothing is made up for a message that was not accepted at once"
    assert (not_yet["status"], not_yet["attempts"]) == ("new", [])
    assert (await api.get("/api/message/5/")).status_code == 404


def _without_messages(detail: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in detail.items() if name != "messages"}
