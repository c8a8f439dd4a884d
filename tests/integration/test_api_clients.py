"""/api/client/ on a real database."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.settings import PlannerSettings
from shared.contracts import utc_now
from shared.database.transactions import transaction
from tests.integration.ledger import add_clients, add_mailing, claim, counters, expand_all, query

ANNA = {"number": 79057003050, "tag": "#AzbukaVkusa", "zone": "Europe/Moscow"}


async def create(api: httpx.AsyncClient, **fields: object) -> int:
    answer = await api.post("/api/client/", json={**ANNA, **fields})
    assert answer.status_code == 201, answer.text
    client_id = answer.json()["id"]
    assert isinstance(client_id, int)
    return client_id


async def test_a_client_is_created_and_shown_with_the_code_of_its_number(api: httpx.AsyncClient) -> None:
    created = await api.post("/api/client/", json={**ANNA, "number": "+7 (905) 700-30-50", "code": 999, "id": 7})
    assert created.status_code == 201
    assert created.json() == {**ANNA, "id": 1, "code": 905}
    assert (await api.get("/api/client/1/")).json() == created.json()


@pytest.mark.parametrize("path", ["/api/client", "/api/client/"])
async def test_a_path_answers_with_and_without_its_last_slash(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.post(path, json=ANNA)).status_code == 201
    assert (await api.get(path)).status_code == 200
    assert (await api.get(f"{path.rstrip('/')}/1")).status_code == 200


async def test_a_number_belongs_to_one_client(api: httpx.AsyncClient) -> None:
    await create(api)
    second = await create(api, number=79057003051)
    again = await api.post("/api/client/", json={**ANNA, "tag": "#other"})
    taken = await api.patch(f"/api/client/{second}/", json={"number": "+79057003050"})
    for refused in (again, taken):
        assert refused.status_code == 409
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.json()["errors"] == [{"field": "number", "message": "belongs to another client"}]
    assert (await api.get(f"/api/client/{second}/")).json()["number"] == 79057003051


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_change_leaves_the_rest_as_it_was(api: httpx.AsyncClient, method: str) -> None:
    client_id = await create(api)
    path = f"/api/client/{client_id}/"
    moved = await api.request(method, path, json={"number": 79993334455, "code": 1})
    assert moved.json() == {**ANNA, "id": client_id, "number": 79993334455, "code": 999}
    assert (await api.request(method, path, json={})).json() == moved.json()
    assert (await api.request(method, path, json=moved.json())).json() == moved.json()
    assert (await api.get(path)).json() == moved.json()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"number": None}, "number"),
        ({"number": "8 905 700-30-50"}, "number"),
        ({"number": True}, "number"),
        ({"number": 10**30}, "number"),
        ({"tag": ""}, "tag"),
        ({"tag": "  "}, "tag"),
        ({"tag": "a" * 101}, "tag"),
        ({"tag": "a\0b"}, "tag"),
        ({"tag": 5}, "tag"),
        ({"tag": None}, "tag"),
        ({"zone": "Europe/Atlantis"}, "zone"),
        ({"zone": "../../etc/passwd"}, "zone"),
        ({"tagg": "#x"}, "tagg"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_field(
    api: httpx.AsyncClient, wrong: dict[str, object], field: str
) -> None:
    client_id = await create(api)
    created = await api.post("/api/client/", json={**ANNA, "number": 79051112233, **wrong})
    changed = await api.patch(f"/api/client/{client_id}/", json=wrong)
    for refused in (created, changed):
        assert refused.status_code == 422, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_every_missing_field_is_named(api: httpx.AsyncClient) -> None:
    refused = await api.post("/api/client/", json={})
    assert refused.json()["errors"] == [
        {"field": name, "message": "is required"} for name in ("number", "tag", "zone")
    ]


async def test_a_tag_of_a_hundred_characters_of_any_script_is_kept(api: httpx.AsyncClient) -> None:
    tag = "#" + "🍏" * 99
    client_id = await create(api, tag=f"  {tag}\n")
    assert (await api.get(f"/api/client/{client_id}/")).json()["tag"] == tag
    assert len((await api.get("/api/client/", params={"tag": tag})).json()["items"]) == 1


@pytest.mark.parametrize("client_id", ["0", "-1", "x", "1.5", "9" * 19, "9" * 5000, "%00"])
async def test_an_impossible_id_is_refused(api: httpx.AsyncClient, client_id: str) -> None:
    for method in ("GET", "PATCH", "DELETE"):
        answer = await api.request(method, f"/api/client/{client_id}/", json={} if method == "PATCH" else None)
        assert answer.status_code in (404, 422)
        assert answer.headers["content-type"] == "application/problem+json"


async def test_an_unknown_client_is_not_found(api: httpx.AsyncClient) -> None:
    assert (await api.get("/api/client/5/")).status_code == 404
    assert (await api.patch("/api/client/5/", json={})).status_code == 404
    assert (await api.patch("/api/client/5/", json={"tag": "#x"})).status_code == 404
    assert (await api.delete("/api/client/5/")).status_code == 404


async def test_pages_show_every_client_once(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await add_clients(engine, 25)
    seen: list[int] = []
    after: dict[str, int] = {}
    pages = 0
    while True:
        page = (await api.get("/api/client/", params={"limit": 10, **after})).json()
        seen += [client["id"] for client in page["items"]]
        pages += 1
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert seen == list(range(1, 26))
    assert pages == 3


async def test_a_full_last_page_has_no_next(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await add_clients(engine, 10)
    assert (await api.get("/api/client/", params={"limit": 10})).json()["next"] is None


async def test_the_list_can_be_narrowed(api: httpx.AsyncClient) -> None:
    first = await create(api)
    second = await create(api, number=79067003050, tag="#b", zone="Asia/Omsk")
    third = await create(api, number=79067003051, zone="Asia/Omsk")

    async def found(**params: object) -> list[int]:
        answer = await api.get("/api/client/", params={key: str(value) for key, value in params.items()})
        assert answer.status_code == 200, answer.text
        return [client["id"] for client in answer.json()["items"]]

    assert await found(tag="#AzbukaVkusa") == [first, third]
    assert await found(code=906) == [second, third]
    assert await found(zone="Asia/Omsk", tag="#b") == [second]
    assert await found(number="+7 906 700-30-51") == [third]
    assert await found(tag="#none") == []
    assert await found(after=first) == [second, third]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=ten", "limit"),
        ("after=-1", "after"),
        ("after=99999999999999999999", "after"),
        ("tag=%00", "tag"),
        ("zone=a%00", "zone"),
        ("number=%00", "number"),
        ("number=12", "number"),
        ("code=1000", "code"),
        ("code=%FF", "code"),
    ],
)
async def test_a_wrong_parameter_is_refused(api: httpx.AsyncClient, query: str, field: str) -> None:
    refused = await api.get(f"/api/client/?{query}")
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_deleting_a_client_cancels_the_messages_that_no_sender_has_and_keeps_the_rest(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    settings = settings.model_copy(update={"chunk_size": 1})
    await add_clients(engine, 2)
    released, planned, settled = [await add_mailing(engine) for _ in range(3)]
    for mailing_id in (released, planned, settled):
        await expand_all(engine, mailing_id, settings)
    async with transaction(engine) as connection:
        await claim(connection, {released: 2}, utc_now() + timedelta(minutes=1), utc_now())
    assert (await api.delete("/api/client/1/")).status_code == 204
    await _send(engine, settled)
    assert (await api.delete("/api/client/2/")).status_code == 204

    assert await counters(engine, released) == {"active": 2}
    assert await counters(engine, planned) == {"canceled": 2}
    assert await counters(engine, settled) == {"sent": 1, "canceled": 1}
    jobs = await query(engine, "SELECT mailing_id, state, open, done_at IS NOT NULL FROM jobs ORDER BY id")
    assert jobs == [
        *[(released, "released", 1, False)] * 2,
        *[(planned, "done", 0, True)] * 2,
        *[(settled, "done", 0, True)] * 2,
    ]
    assert await query(
        engine, "SELECT count(*) FROM messages WHERE status = 'canceled' AND settled_at IS NULL"
    ) == [(0,)]
    assert (await api.get("/api/client/1/")).status_code == 404


async def test_a_job_that_loses_one_of_its_messages_stays_planned(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 3)
    mailing_id = await add_mailing(engine)
    await expand_all(engine, mailing_id, settings)
    assert (await api.delete("/api/client/2/")).status_code == 204
    assert await counters(engine, mailing_id) == {"new": 2, "canceled": 1}
    assert await query(engine, "SELECT state, open, size FROM jobs") == [("planned", 2, 3)]


async def _send(engine: AsyncEngine, mailing_id: int) -> None:
    """Mark the open messages of the mailing as sent, each in a job of its own."""
    async with transaction(engine) as connection:
        for statement in (
            "UPDATE counters SET sent = sent + new, new = 0 WHERE mailing_id = :id",
            "UPDATE messages SET status = 'sent', settled_at = now() WHERE mailing_id = :id AND status = 'new'",
            "UPDATE jobs SET state = 'done', open = 0, done_at = now() WHERE mailing_id = :id AND state <> 'done'",
        ):
            await connection.exec_driver_sql(statement.replace(":id", str(mailing_id)))
