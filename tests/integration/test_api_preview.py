"""/api/mailing/preview/ on a real database."""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.api_client import NOWHERE, api_on
from tests.integration.ledger import query

HELLO = {
    "starts_at": "2090-01-31T10:00:00Z",  # Moscow is open until 18:00, Omsk until 15:00
    "expired_at": "2090-01-31T18:00:00Z",
    "text": "hello",
    "filter": {"tag": ["#t"]},
    "window": {"from": "09:00", "until": "21:00"},
}


async def add(engine: AsyncEngine, code: int, zone: str, count: int, tag: str = "#t") -> None:
    """Add clients of one zone and code."""
    ((already,),) = await query(engine, "SELECT count(*) FROM clients")
    assert isinstance(already, int)
    await query(
        engine,
        "INSERT INTO clients (number, tag, zone)"
        " SELECT :first + n, :tag, :zone FROM generate_series(1, :count) AS n RETURNING 1",
        first=70_000_000_000 + code * 10_000_000 + already,
        tag=tag,
        zone=zone,
        count=count,
    )


async def preview(api: httpx.AsyncClient, **fields: object) -> dict[str, object]:
    answer = await api.post("/api/mailing/preview/", json={**HELLO, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_a_preview_counts_the_audience_and_forecasts_the_end(
    api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add(engine, 905, "Europe/Moscow", 30)
    await add(engine, 906, "Asia/Omsk", 9)
    await add(engine, 906, "Pacific/Honolulu", 3)  # closed until the end
    await add(engine, 906, "Mars/Base", 2)
    await add(engine, 907, "Europe/Moscow", 7, tag="#other")
    found = await preview(api, rate=0.1)
    sample = found.pop("sample")
    assert found == {
        "recipients": 44,
        "by_zone": {"Europe/Moscow": 30, "Asia/Omsk": 9, "Pacific/Honolulu": 3, "Mars/Base": 2},
        "by_code": {"905": 30, "906": 14},
        "unknown_zones": 2,
        "stopped": 0,
        "text_parts": {"count": 1, "encoding": "GSM-7", "units": 5},
        "late": 3,
        "finish": "2090-01-31T10:06:40Z",  # 39 messages at 97.5 % of the rate
        "rate": 0.1,
    }
    assert isinstance(sample, list)
    assert [client["id"] for client in sample] == [1, 2, 3, 4, 5]
    assert sample[0] == (await api.get("/api/client/1/")).json()


async def test_a_preview_leaves_nothing_behind(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    await preview(api)
    for table in ("mailings", "counters", "outbox"):
        assert await query(engine, f"SELECT count(*) FROM {table}") == [(0,)]


async def test_without_a_rate_and_a_window_nobody_is_late(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    assert await preview(api, window=None) == {
        "recipients": 0,
        "by_zone": {},
        "by_code": {},
        "unknown_zones": 0,
        "stopped": 0,
        "text_parts": {"count": 1, "encoding": "GSM-7", "units": 5},
        "late": 0,
        "finish": None,
        "rate": None,
        "sample": [],
    }
    await add(engine, 906, "Mars/Base", 2)
    found = await preview(api, window=None)
    assert (found["recipients"], found["unknown_zones"], found["late"]) == (2, 0, 0)
    assert found["finish"] == HELLO["starts_at"]


async def test_the_sample_is_spread_over_zones_and_codes(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    zones = ["Asia/Omsk", "Asia/Tomsk", "Europe/Moscow", "Europe/Paris", "Europe/Rome"]
    for zone in zones:
        await add(engine, 905, zone, 10)
    sample = (await preview(api))["sample"]
    assert isinstance(sample, list)
    assert [client["zone"] for client in sample] == zones


@pytest.mark.parametrize(
    ("audience", "ids"),
    [
        ({"code": [905, 906]}, [1, 2, 3]),
        ({"code": [905], "tag": ["#t"]}, [1]),
        ({"zone": ["Asia/Omsk"]}, [2, 4]),
        ({"zone": ["Asia/Omsk"], "tag": ["#x", "#t"], "code": [907]}, [4]),
        ("#y", []),
    ],
)
async def test_a_preview_counts_the_clients_of_the_filter(
    api: httpx.AsyncClient, engine: AsyncEngine, audience: object, ids: list[int]
) -> None:
    await add(engine, 905, "Europe/Moscow", 1)
    await add(engine, 906, "Asia/Omsk", 1)
    await add(engine, 905, "Europe/Moscow", 1, tag="#x")
    await add(engine, 907, "Asia/Omsk", 1, tag="#x")
    found = await preview(api, filter=audience)
    assert isinstance(found["sample"], list)
    assert ([client["id"] for client in found["sample"]], found["recipients"]) == (ids, len(ids))


@pytest.mark.parametrize(("rate", "reckoned"), [(None, 20), (5, 5), (50, 20)])
async def test_the_forecast_uses_the_lower_limit(
    database_url: str, clean_database: None, rate: float | None, reckoned: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAILING_PROVIDER_RATE", "20")
    async with api_on(database_url, f"amqp://{NOWHERE}/") as api:
        assert (await preview(api, rate=rate))["rate"] == reckoned


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"expired_at": "2020-01-01T00:00:00Z"}, "expired_at"),
        ({"starts_at": "2019-01-01T00:00:00Z", "expired_at": "2020-01-01T00:00:00Z"}, "expired_at"),
        ({"filter": {}}, "filter"),
        ({"rate": 0}, "rate"),
        ({"window": {"from": "09:00", "until": "09:00"}}, "window.until"),
    ],
)
async def test_an_invalid_mailing_has_no_preview(
    api: httpx.AsyncClient, wrong: dict[str, object], field: str
) -> None:
    refused = await api.post("/api/mailing/preview/", json={**HELLO, **wrong})
    assert refused.status_code == 422
    assert [error["field"] for error in refused.json()["errors"]] == [field]
