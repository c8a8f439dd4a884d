"""Fields of a mailing for the provider's adapter: from the request to the job of a sender."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.settings import PlannerSettings
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.provider_fields import parse_sender_name
from tests.integration.api_client import NOWHERE, api_on
from tests.integration.ledger import add_clients, claim, expand_all


def body(**fields: object) -> dict[str, object]:
    now = utc_now()
    times = {"starts_at": now.isoformat(), "expired_at": (now + timedelta(hours=1)).isoformat()}
    return {**times, "text": "hello", "filter": "#t", **fields}


@pytest.mark.parametrize("fields", [{"sender_name": "Azbuka"}, {"validity": 60}])
async def test_a_field_that_the_adapter_ignores_is_refused(
    api: httpx.AsyncClient, fields: dict[str, object]
) -> None:
    mailing = (await api.post("/api/mailing/", json=body(**dict.fromkeys(fields)))).json()
    assert (mailing["sender_name"], mailing["validity"]) == (None, None)
    path = f"/api/mailing/{mailing['id']}/"
    times = {name: value for name, value in body().items() if name in {"starts_at", "expired_at"}}
    for answer in (
        await api.post("/api/mailing/", json=body(**fields)),
        await api.post("/api/mailing/preview/", json=body(**fields)),
        await api.patch(path, json=fields),
        await api.post(f"{path}duplicate/", json={**times, **fields}),
    ):
        assert answer.status_code == 422
        (error,) = answer.json()["errors"]
        assert error["field"] in fields
        assert "is not known to the provider's adapter" in error["message"]


async def test_a_field_that_the_adapter_knows_is_handed_to_the_senders(
    database_url: str, clean_database: None, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    known = {"provider_fields": "sender_name,validity"}
    await add_clients(engine, 2)
    async with api_on(database_url, f"amqp://{NOWHERE}/", changes=known) as api:
        refused = await api.post("/api/mailing/", json=body(sender_name="Азбука"))
        assert refused.status_code == 422
        created = await api.post("/api/mailing/", json=body(sender_name="Azbuka", validity=600))
        mailing = created.json()["id"]
        changed = await api.patch(f"/api/mailing/{mailing}/", json={"validity": 900})
        assert (changed.json()["sender_name"], changed.json()["validity"]) == ("Azbuka", 900)
    await expand_all(engine, mailing, settings)
    now = utc_now()
    async with transaction(engine) as connection:
        (job,) = await claim(connection, {mailing: 10}, now + timedelta(minutes=1), now)
    assert (job.sender_name, job.validity) == ("Azbuka", 900)


@pytest.mark.parametrize("name", ["A", "Azbuka 24", "123456789012345", "A&B.c-d_e+f"])
def test_a_sender_name_is_what_a_network_shows(name: str) -> None:
    assert parse_sender_name(name) == name


@pytest.mark.parametrize("name", ["", " A", "A ", "Azbuka Vkusa", "1234567890123456", "Азбука", "A\n"])
def test_another_sender_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be up to 11"):
        parse_sender_name(name)
