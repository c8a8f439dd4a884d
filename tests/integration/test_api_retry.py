"""POST /api/mailing/{id}/retry/ on a real database: the request that it stores for the planner."""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.ledger import add_mailing, query

LATER = "2090-01-31T10:00:00Z"


async def add_ended(engine: AsyncEngine, state: str = "finished", *, failed: int = 2, expired: int = 1) -> int:
    """Add a mailing in that state, some of whose messages were not sent."""
    mailing_id = await add_mailing(engine)
    await query(
        engine,
        "UPDATE mailings SET state = CAST(:state AS mailing_state), started_at = now(),"
        " finished_at = CASE WHEN :state IN ('finished', 'canceled') THEN now() END RETURNING 1",
        state=state,
    )
    await query(
        engine,
        "UPDATE counters SET failed = :failed, expired = :expired, total = :failed + :expired RETURNING 1",
        failed=failed,
        expired=expired,
    )
    return mailing_id


async def retry(api: httpx.AsyncClient, mailing_id: int, *status: str, end: str = LATER) -> httpx.Response:
    return await api.post(f"/api/mailing/{mailing_id}/retry/", json={"status": status, "expired_at": end})


async def noted(engine: AsyncEngine) -> tuple[object, ...]:
    (row,) = await query(
        engine, "SELECT state, finished_at, revision, retry_statuses, retried_to, expired_at::text FROM mailings"
    )
    return row


async def outbox(engine: AsyncEngine) -> list[tuple[object, ...]]:
    return list(await query(engine, "SELECT exchange, routing_key FROM outbox ORDER BY id"))


async def test_a_finished_mailing_runs_again(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    mailing_id = await add_ended(engine)
    answer = await retry(api, mailing_id, "failed", "uncertain", "failed")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"], body["finished_at"], body["expired_at"]) == ("running", None, LATER)
    assert await noted(engine) == ("running", None, 0, ["failed", "uncertain"], 0, "2090-01-31 10:00:00+00")
    assert await query(
        engine, "SELECT retry_ended_by BETWEEN now() - interval '1 minute' AND now() FROM mailings"
    ) == [(True,)]
    assert await outbox(engine) == [("mailing.events", "mailing.changed")]


async def test_a_second_retry_adds_to_one_that_is_under_way(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    mailing_id = await add_ended(engine)
    await retry(api, mailing_id, "failed")
    await query(engine, "UPDATE mailings SET retried_to = 50, retry_ended_by = '2020-01-01' RETURNING 1")
    await retry(api, mailing_id, "expired")
    assert (await noted(engine))[3:5] == (["expired", "failed"], 0)
    assert await query(engine, "SELECT retry_ended_by > '2021-01-01' FROM mailings") == [(True,)]


async def test_nothing_to_retry_changes_nothing(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    mailing_id = await add_ended(engine, failed=0)
    before = (await api.get("/api/mailing/")).json()["items"]
    answer = await retry(api, mailing_id, "failed", "uncertain")
    assert (answer.status_code, [answer.json()]) == (200, before)
    assert await outbox(engine) == []
    assert (await noted(engine))[3] is None


@pytest.mark.parametrize(("end", "recalled"), [("2090-01-31T10:00:00Z", False), ("2085-01-01T00:00:00Z", True)])
async def test_an_earlier_end_of_a_running_mailing_recalls_its_jobs(
    api: httpx.AsyncClient, engine: AsyncEngine, end: str, recalled: bool
) -> None:
    mailing_id = await add_ended(engine, "running")
    await query(engine, "UPDATE mailings SET expired_at = '2088-01-01', paused_at = now() RETURNING 1")
    answer = await retry(api, mailing_id, "expired", end=end)
    assert (answer.json()["expired_at"], answer.json()["paused"]) == (end, True)
    stops = [row for row in await outbox(engine) if row[0] == "mailing.control"]
    assert (len(stops), (await noted(engine))[2]) == (int(recalled), int(recalled))


@pytest.mark.parametrize(
    ("state", "status", "detail"),
    [("scheduled", 409, "has not started"), ("canceled", 409, "is canceled"), ("deleted", 404, "no mailing")],
)
async def test_a_mailing_that_does_not_run_cannot_be_retried(
    api: httpx.AsyncClient, engine: AsyncEngine, state: str, status: int, detail: str
) -> None:
    mailing_id = await add_ended(engine, state)
    before = await noted(engine)
    refused = await retry(api, mailing_id, "failed")
    assert (refused.status_code, detail in refused.json()["detail"]) == (status, True)
    assert await noted(engine) == before


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"expired_at": LATER}, "status"),
        ({"status": [], "expired_at": LATER}, "status"),
        ({"status": ["sent"], "expired_at": LATER}, "status.0"),
        ({"status": "failed", "expired_at": LATER}, "status"),
        ({"status": ["failed"]}, "expired_at"),
        ({"status": ["failed"], "expired_at": "2020-01-01T00:00:00"}, "expired_at"),
        ({"status": ["failed"], "expired_at": LATER, "end": LATER}, "end"),
    ],
)
async def test_a_wrong_value_is_refused_with_its_field(
    api: httpx.AsyncClient, engine: AsyncEngine, body: dict[str, object], field: str
) -> None:
    mailing_id = await add_ended(engine)
    refused = await api.post(f"/api/mailing/{mailing_id}/retry/", json=body)
    assert refused.status_code == 422, refused.text
    assert [error["field"] for error in refused.json()["errors"]] == [field]
    assert await outbox(engine) == []


async def test_an_end_before_the_start_is_refused(api: httpx.AsyncClient, engine: AsyncEngine) -> None:
    mailing_id = await add_ended(engine)
    await query(engine, "UPDATE mailings SET starts_at = '2091-01-01', expired_at = '2092-01-01' RETURNING 1")
    refused = await retry(api, mailing_id, "failed")
    assert (refused.status_code, refused.json()["detail"]) == (422, "expired_at must be after starts_at.")
