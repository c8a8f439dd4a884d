"""ETag and If-Match of mailings and clients on a real database."""

import asyncio
from collections import Counter
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.contracts import utc_now
from tests.integration.ledger import query

CLIENT = {"number": 79057003050, "tag": "#AzbukaVkusa", "zone": "Europe/Moscow"}


def mailing() -> dict[str, object]:
    now = utc_now()
    times = {"starts_at": now + timedelta(days=1), "expired_at": now + timedelta(days=2)}
    return {"text": "hello", "filter": "#x", **{name: at.isoformat() for name, at in times.items()}}


@pytest.fixture(params=["mailing", "client"])
async def path(request: pytest.FixtureRequest, api: httpx.AsyncClient) -> str:
    noun = str(request.param)
    created = await api.post(f"/api/{noun}/", json=mailing() if noun == "mailing" else CLIENT)
    assert created.status_code == 201, created.text
    return f"/api/{noun}/{created.json()['id']}/"


def change(path: str, value: str) -> dict[str, str]:
    return {"text" if "mailing" in path else "tag": value}


async def tag_of(api: httpx.AsyncClient, path: str) -> str:
    return (await api.get(path)).headers["etag"]


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_the_version_that_was_read_can_be_changed_once(
    api: httpx.AsyncClient, path: str, method: str
) -> None:
    tag = await tag_of(api, path)
    assert await tag_of(api, path) == tag
    first = await api.request(method, path, json=change(path, "one"), headers={"If-Match": tag})
    assert first.status_code == 200
    assert first.headers["etag"] == await tag_of(api, path) != tag
    second = await api.request(method, path, json=change(path, "two"), headers={"If-Match": tag})
    assert second.status_code == 412
    assert second.headers["content-type"] == "application/problem+json"
    problem = second.json()
    assert problem["type"] == "urn:mailing:problem:changed-meanwhile"
    assert first.headers["etag"] in problem["detail"]
    kept = (await api.get(path)).json()
    assert change(path, "one").items() <= kept.items()
    either = {"If-Match": f"{tag}, {first.headers['etag']}"}
    assert (await api.request(method, path, json=change(path, "two"), headers=either)).status_code == 200


async def test_of_many_changes_of_one_version_exactly_one_happens(api: httpx.AsyncClient, path: str) -> None:
    tag = {"If-Match": await tag_of(api, path)}
    answers = await asyncio.gather(
        *(api.patch(path, json=change(path, f"by {person}"), headers=tag) for person in range(8))
    )
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 7}
    won = next(answer for answer in answers if answer.status_code == 200)
    assert (await api.get(path)).json().items() >= won.json().items()


async def test_only_the_version_that_was_read_is_deleted(api: httpx.AsyncClient, path: str) -> None:
    tag = await tag_of(api, path)
    await api.patch(path, json=change(path, "changed"))
    assert (await api.delete(path, headers={"If-Match": tag})).status_code == 412
    assert (await api.delete(path, headers={"If-Match": await tag_of(api, path)})).status_code == 204
    assert (await api.delete(path, headers={"If-Match": tag})).status_code == 404
    assert (await api.patch(path, json=change(path, "x"), headers={"If-Match": tag})).status_code == 404


async def test_a_precondition_holds_for_a_change_of_nothing(api: httpx.AsyncClient, path: str) -> None:
    tag = await tag_of(api, path)
    assert (await api.patch(path, json={}, headers={"If-Match": tag})).headers["etag"] == tag
    assert (await api.patch(path, json={}, headers={"If-Match": '"other"'})).status_code == 412
    assert (await api.patch(path, json={}, headers={"If-Match": "*"})).status_code == 200
    assert (await api.patch(path, json={})).status_code == 200


async def test_a_precondition_that_is_no_list_of_tags_is_refused(api: httpx.AsyncClient, path: str) -> None:
    refused = await api.patch(path, json=change(path, "x"), headers={"If-Match": "7"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["field"] == "If-Match"


async def test_what_people_do_to_a_mailing_changes_its_version_and_statistics_do_not(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    path = f"/api/mailing/{(await api.post('/api/mailing/', json=mailing())).json()['id']}/"
    tags = [await tag_of(api, path)]
    for action in ("pause", "resume", "cancel"):
        assert (await api.post(f"{path}{action}/")).status_code == 200
        tags.append(await tag_of(api, path))
    assert len(set(tags)) == 4
    await query(engine, "UPDATE counters SET total = 1, sent = 1 RETURNING 1")
    assert await tag_of(api, path) == tags[-1]


async def test_an_import_changes_the_versions_of_the_clients_that_it_changes(api: httpx.AsyncClient) -> None:
    created = [(await api.post("/api/client/", json={**CLIENT, "number": 79057003050 + n})).json() for n in (0, 1)]
    same, other = (f"/api/client/{client['id']}/" for client in created)
    before = [await tag_of(api, path) for path in (same, other)]
    rows = "number,tag,zone\n79057003050,#AzbukaVkusa,Europe/Moscow\n79057003051,#new,Europe/Moscow\n"
    done = await api.post("/api/client/import/", content=rows, headers={"Content-Type": "text/csv"})
    assert (done.json()["changed"], done.json()["unchanged"]) == (1, 1)
    assert await tag_of(api, same) == before[0]
    assert await tag_of(api, other) != before[1]
