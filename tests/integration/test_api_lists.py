"""Filters, sorts and pages of the lists of mailings and clients, on a real database."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.access.roles import Role
from tests.integration.ledger import query
from tests.tokens import bearer, create_api_token

START = datetime(2040, 1, 1, tzinfo=UTC)
Parameters = Mapping[str, object]


async def add_mailing(api: httpx.AsyncClient, day: int, **fields: object) -> int:
    starts = START + timedelta(days=day)
    times = {"starts_at": starts.isoformat(), "expired_at": (starts + timedelta(days=10 - day)).isoformat()}
    created = await api.post("/api/mailing/", json={"text": "hello", "filter": "#x", **times, **fields})
    assert created.status_code == 201, created.text
    return int(created.json()["id"])


async def found(api: httpx.AsyncClient, path: str, parameters: Parameters | None = None) -> list[int]:
    """Return the ids of the whole list, in pages of two."""
    ids: list[int] = []
    after: Parameters = {}
    for _ in range(20):
        answer = await api.get(path, params={"limit": 2, **(parameters or {}), **after})  # type: ignore[dict-item]
        assert answer.status_code == 200, answer.text
        page = answer.json()
        ids += [item["id"] for item in page["items"]]
        if page["next"] is None:
            return ids
        after = {"after": page["next"]}
    raise AssertionError("the pages have no end")


async def test_mailings_are_found_by_state_kind_words_and_times(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    sale = await add_mailing(api, 3, name="Autumn Sale", kind="service")
    order = await add_mailing(api, 1, text="Ваш заказ готов: 100% _ \\")
    plain = await add_mailing(api, 2, kind="service")
    await api.post(f"/api/mailing/{plain}/pause/")
    await api.post(f"/api/mailing/{order}/cancel/")
    await query(engine, "UPDATE mailings SET created_at = '2020-01-01' WHERE id = :id RETURNING 1", id=sale)

    cases: Sequence[tuple[Parameters, list[int]]] = [
        ({}, [plain, order, sale]),
        ({"state": "canceled"}, [order]),
        ({"state": ["canceled", "scheduled"]}, [plain, order, sale]),
        ({"state": "finished"}, []),
        ({"paused": "true"}, [plain]),
        ({"state": "scheduled", "paused": "false"}, [sale]),
        ({"kind": "service"}, [plain, sale]),
        ({"q": "autumn sale"}, [sale]),
        ({"q": "ЗАКАЗ"}, [order]),
        ({"q": "100% _ \\"}, [order]),
        ({"q": "100_"}, []),
        ({"q": str(plain)}, [plain]),
        ({"starts_from": "2040-01-03T00:00:00Z"}, [plain, sale]),
        ({"starts_until": "2040-01-03T00:00:00Z"}, [order]),
        ({"created_until": "2021-01-01T00:00:00Z"}, [sale]),
        ({"created_from": "2021-01-01T00:00:00Z", "kind": "marketing"}, [order]),
    ]
    for parameters, expected in cases:
        assert await found(api, "/api/mailing/", parameters) == expected, parameters


async def test_mailings_are_sorted_by_their_times_and_no_page_loses_or_repeats_one(api: httpx.AsyncClient) -> None:
    days = (3, 1, 2, 1, 3, 1, 2)
    ids = [await add_mailing(api, day) for day in days]
    by_start = sorted(ids, key=lambda id_: (days[ids.index(id_)], id_))
    by_end = sorted(ids)
    for sort, expected in (
        ("id", ids),
        ("-id", ids[::-1]),
        ("starts_at", by_start),
        ("-starts_at", by_start[::-1]),
        ("expired_at", by_end),
        ("-expired_at", by_end[::-1]),
    ):
        assert await found(api, "/api/mailing/", {"sort": sort}) == expected, sort
    page = (await api.get("/api/mailing/", params={"sort": "starts_at", "limit": 1})).json()
    assert (await api.get("/api/mailing/", params={"after": page["next"]})).status_code == 422


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"state": "deleted"}, "state.0"),
        ({"kind": "spam"}, "kind"),
        ({"sort": "text"}, "sort"),
        ({"starts_from": "soon"}, "starts_from"),
        ({"after": "x"}, "after"),
        ({"after": "0"}, "after"),
        ({"after": "9" * 19}, "after"),
        ({"after": "5", "sort": "starts_at"}, "after"),
        ({"after": "5-5"}, "after"),
        ({"q": "a" * 101}, "q"),
    ],
)
async def test_a_wrong_condition_on_mailings_is_refused(
    api: httpx.AsyncClient, parameters: Mapping[str, str], field: str
) -> None:
    refused = await api.get("/api/mailing/", params=parameters)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_clients_are_found_by_parts_of_the_number_tags_and_attributes(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    people: Sequence[tuple[int, str, Mapping[str, object]]] = [
        (79051112233, "#a", {"city": "Moscow", "visits": 3}),
        (79051112234, "#b", {"city": "Omsk", "vip": True}),
        (79061112233, "#c", {"city": "Moscow", "visits": "3"}),
        (79061110033, "#b", {}),
    ]
    for number, tag, attributes in people:
        body = {"number": number, "tag": tag, "zone": "Europe/Moscow"}
        assert (await api.post("/api/client/", json=body)).status_code == 201
        update = "UPDATE clients SET attributes = CAST(:value AS jsonb) WHERE number = :number RETURNING 1"
        await query(engine, update, number=number, value=json.dumps(attributes))
    cases: Sequence[tuple[Parameters, list[int]]] = [
        ({"number_begins": "7905"}, [1, 2]),
        ({"number_begins": "7"}, [1, 2, 3, 4]),
        ({"number_begins": "79051112233"}, [1]),
        ({"number_ends": "2233"}, [1, 3]),
        ({"number_ends": "0033"}, [4]),
        ({"number_ends": "9051112233"}, [1]),
        ({"number_begins": "7906", "number_ends": "33"}, [3, 4]),
        ({"tag": ["#a", "#b"]}, [1, 2, 4]),
        ({"tag": ["#b", "#b"]}, [2, 4]),
        ({"tag": "#b", "number_ends": "34"}, [2]),
        ({"attribute": "city:Moscow"}, [1, 3]),
        ({"attribute": ["city:Moscow", "visits:3"]}, [1, 3]),
        ({"attribute": "vip:true"}, [2]),
        ({"attribute": "city:moscow"}, []),
        ({"attribute": "city:Moscow", "tag": ["#c", "#b"], "code": 906, "zone": "Europe/Moscow"}, [3]),
    ]
    for parameters, expected in cases:
        assert await found(api, "/api/client/", parameters) == expected, parameters


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"number_begins": "8905"}, "number_begins"),
        ({"number_begins": "790511122334"}, "number_begins"),
        ({"number_ends": "x"}, "number_ends"),
        ({"number_ends": "12345678901"}, "number_ends"),
        ({"attribute": "city"}, "attribute.0"),
        ({"attribute": "1:x"}, "attribute.0"),
        ({"attribute": "city:"}, "attribute.0"),
    ],
)
async def test_a_wrong_condition_on_clients_is_refused(
    api: httpx.AsyncClient, parameters: Mapping[str, str], field: str
) -> None:
    refused = await api.get("/api/client/", params=parameters)
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]


async def test_a_viewer_finds_no_number_digit_by_digit(api: httpx.AsyncClient, database_url: str) -> None:
    viewer = bearer(await create_api_token(database_url, Role.VIEWER))
    for parameters, status in (
        ({"number_begins": "7905", "number_ends": "33"}, 200),
        ({"number_begins": "79051"}, 403),
        ({"number_ends": "133"}, 403),
    ):
        answer = await api.get("/api/client/", params=parameters, headers=viewer)
        assert answer.status_code == status, parameters
