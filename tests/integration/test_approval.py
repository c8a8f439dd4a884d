"""Mailings to many people wait until somebody other than their author approves them."""

from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.expansion import BatchSizes, expand_batches
from services.planner.queries import find_due_mailings
from shared.access.roles import Role
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.workspace_policy import WorkspacePolicy
from tests.integration.api_client import NOWHERE, api_on
from tests.integration.ledger import add_clients, query
from tests.tokens import bearer, create_api_token

APPROVE_ABOVE = 5
SIZES = BatchSizes(chunk=10, batch=100)


@pytest.fixture
async def strict_api(
    database_url: str, clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setenv("MAILING_APPROVE_ABOVE", str(APPROVE_ABOVE))
    async with api_on(database_url, f"amqp://{NOWHERE}/") as api:
        yield api


def mailing(tag: str = "#t") -> dict[str, object]:
    now = utc_now()
    times = {"starts_at": now.isoformat(), "expired_at": (now + timedelta(hours=1)).isoformat()}
    return {**times, "text": "hello", "filter": tag, "name": "Autumn sale"}


async def expand(engine: AsyncEngine) -> list[int]:
    """Start what is due, as the planner does; return the mailings that were started."""
    now = utc_now()
    async with transaction(engine) as connection:
        due = await find_due_mailings(connection, now)
    return [*await expand_batches(engine, due.starting, SIZES, now=now, workspace=WorkspacePolicy(APPROVE_ABOVE))]


async def test_a_large_mailing_waits_until_somebody_else_approves_it_as_it_is(
    strict_api: httpx.AsyncClient, engine: AsyncEngine, database_url: str
) -> None:
    await add_clients(engine, APPROVE_ABOVE + 1)
    boris = bearer(await create_api_token(database_url, Role.OPERATOR, "boris"))
    preview = await strict_api.post("/api/mailing/preview/", json=mailing())
    assert preview.json()["needs_approval"] is True
    created = (await strict_api.post("/api/mailing/", json=mailing())).json()
    assert (created["state"], created["author"], created["approved_by"]) == ("waiting", "test", None)
    path = f"/api/mailing/{created['id']}/"
    assert await expand(engine) == []

    refused = await strict_api.post(f"{path}approve/")
    assert (refused.status_code, "somebody else" in refused.json()["detail"]) == (409, True)
    approved = await strict_api.post(f"{path}approve/", headers=boris, auth=httpx.Auth())
    assert approved.status_code == 200, approved.text
    assert (approved.json()["state"], approved.json()["approved_by"]) == ("scheduled", "boris")

    later = await strict_api.patch(path, json={"rate": 10})
    assert (later.json()["state"], later.json()["approved_by"]) == ("scheduled", "boris")
    changed = await strict_api.patch(path, json={"text": "something else"})
    assert (changed.json()["state"], changed.json()["approved_by"]) == ("waiting", None)
    assert await expand(engine) == []

    again = await strict_api.post(f"{path}approve/", headers=boris, auth=httpx.Auth())
    assert again.json()["state"] == "scheduled"
    assert await expand(engine) == [created["id"]]
    assert (await strict_api.patch(path, json={"text": "a third text"})).status_code == 409
    assert (await strict_api.patch(path, json={"rate": 20})).status_code == 200
    audited = await query(
        engine, "SELECT actor, after ->> 'state' FROM audit WHERE operation = 'mailing.approve' ORDER BY id"
    )
    assert audited == [("boris", "scheduled"), ("boris", "scheduled")]


async def test_an_audience_that_has_grown_before_the_start_waits_then(
    strict_api: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    await add_clients(engine, APPROVE_ABOVE)
    small = (await strict_api.post("/api/mailing/", json=mailing())).json()
    assert small["state"] == "scheduled"
    await add_clients(engine, 1, first=79_050_000_000 + APPROVE_ABOVE)
    assert await expand(engine) == []
    path = f"/api/mailing/{small['id']}/"
    assert (await strict_api.get(path)).json()["state"] == "waiting"
    assert (await strict_api.post(f"{path}cancel/")).json()["state"] == "canceled"
