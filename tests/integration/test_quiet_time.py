"""The quiet time of a workspace in the API: what it refuses, and what a preview says of it."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest

from shared.contracts import utc_now
from tests.integration.api_client import NOWHERE, api_on

NIGHT = {"from": "22:00", "until": "06:00"}
EVENING = {"from": "17:00", "until": "23:00"}
CLIENT = {"number": 79057003050, "tag": "#t", "zone": "Europe/Moscow"}


@pytest.fixture
async def quiet_api(
    database_url: str, clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("MAILING_QUIET_TIME", "20:00-08:00")
    async with api_on(database_url, f"amqp://{NOWHERE}/") as api:
        yield api


def mailing(kind: str, window: dict[str, str] | None = None) -> dict[str, object]:
    now = utc_now()
    times = {"starts_at": now.isoformat(), "expired_at": (now + timedelta(days=2)).isoformat()}
    return {**times, "text": "hello", "filter": "#t", "kind": kind, "window": window}


async def test_marketing_cannot_be_ordered_for_the_quiet_time(quiet_api: httpx.AsyncClient) -> None:
    for path in ("/api/mailing/", "/api/mailing/preview/"):
        refused = await quiet_api.post(path, json=mailing("marketing", NIGHT))
        assert refused.status_code == 422, refused.text
        assert [error["field"] for error in refused.json()["errors"]] == ["window"]
        assert "20:00 until 08:00" in refused.text
    service = (await quiet_api.post("/api/mailing/", json=mailing("service", NIGHT))).json()
    path = f"/api/mailing/{service['id']}/"
    assert (await quiet_api.patch(path, json={"kind": "marketing"})).status_code == 422
    assert (await quiet_api.patch(path, json={"kind": "marketing", "window": EVENING})).status_code == 200


async def test_a_preview_forecasts_with_the_quiet_time(quiet_api: httpx.AsyncClient) -> None:
    await quiet_api.post("/api/client/", json=CLIENT | {"zone": "Europe/Moscow"})
    found = (await quiet_api.post("/api/mailing/preview/", json=mailing("marketing"))).json()
    assert (found["quiet_time"], found["late"]) == ("20:00-08:00", 0)
    service = (await quiet_api.post("/api/mailing/preview/", json=mailing("service"))).json()
    assert service["quiet_time"] is None


async def test_a_marketing_message_needs_a_client_whose_clock_is_known(quiet_api: httpx.AsyncClient) -> None:
    message = {"number": CLIENT["number"], "text": "hello", "kind": "marketing"}
    refused = await quiet_api.post("/api/message/", json=message)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "kind")
    assert (await quiet_api.post("/api/message/", json=message | {"kind": "service"})).status_code == 201
    await quiet_api.post("/api/client/", json=CLIENT)
    assert (await quiet_api.post("/api/message/", json=message)).status_code == 201
