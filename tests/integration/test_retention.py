"""Retention: details leave after their time, what is not settled stays, and every count stays."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner import recording, retention
from services.planner.expansion import expand_batch
from services.planner.reaping import ReapRound, finish
from services.planner.retention import Retention
from services.planner.settings import PlannerSettings
from shared.contracts import Acceptance, Attempt, Job, JobReport, Outcome, Report, Result, utc_now
from shared.database.transactions import transaction
from tests.integration.ledger import add_clients, add_mailing, claim, counters, query

KEPT = timedelta(hours=1)
LATER = timedelta(hours=2)


@pytest.fixture
def settings(settings: PlannerSettings) -> PlannerSettings:
    return settings.model_copy(update={"keep_messages": KEPT, "keep_singles": KEPT, "keep_attempts": KEPT})


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "MAX_MESSAGES", 10)
    monkeypatch.setattr(retention, "MAX_SINGLES", 2)


async def release(engine: AsyncEngine, *mailing_ids: int) -> list[Job]:
    now = utc_now()
    async with transaction(engine) as connection:
        return await claim(connection, dict.fromkeys(mailing_ids, 100), now + timedelta(minutes=1), now)


async def report(engine: AsyncEngine, settings: PlannerSettings, jobs: list[Job], refused: Outcome) -> None:
    """Report that the provider did not accept the first message of each job, and accepted the others."""
    now = utc_now()
    at_ms = int(now.timestamp() * 1000)
    parts = [
        JobReport(
            job_id=job.job_id,
            release=job.release,
            mailing_id=job.mailing_id,
            accepted=tuple(Acceptance(message.id, at_ms, 3) for message in job.messages[1:]),
            results=(
                Result(
                    message_id=job.messages[0].id,
                    outcome=refused,
                    attempts=(Attempt(at_ms, 5, refused, 400, "no"),),
                ),
            ),
        )
        for job in jobs
    ]
    await recording.record(
        engine, [Report(sender="s", jobs=tuple(parts))], now=now, policy=settings.policy(), chunk=10
    )
    await finish(ReapRound(engine, settings, now))


async def sent_mailing(engine: AsyncEngine, settings: PlannerSettings, refused: Outcome) -> int:
    """Return a mailing of 25 messages in three jobs, the first message of each of which was not accepted."""
    mailing_id = await add_mailing(engine)
    await expand_batch(engine, mailing_id, chunk=10, batch=100, now=utc_now())
    await report(engine, settings, await release(engine, mailing_id), refused)
    return mailing_id


async def remove_all(engine: AsyncEngine, settings: PlannerSettings, after: timedelta = LATER) -> int:
    """Remove until nothing is left to remove; return the number of batches."""
    this, kept, batches = ReapRound(engine, settings, utc_now() + after), Retention(), 0
    while await kept.remove_batch(this):
        batches += 1
        assert batches < 50, "it never ends"
    return batches


async def statistics(api: httpx.AsyncClient, mailing_id: int) -> list[object]:
    totals = (await api.get("/api/statistics/?step=hour")).json()
    progress = (await api.get(f"/api/mailing/{mailing_id}/progress/")).json()
    reasons = (await api.get(f"/api/mailing/{mailing_id}/reasons/")).json()["items"]
    counted = [(one["status"], one["reason"], one["messages"]) for one in reasons]
    return [{name: totals[name] for name in totals if name not in {"from", "until"}}, progress, counted]


async def test_the_messages_of_old_mailings_leave_and_every_count_stays(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 25)
    old, recent = [await sent_mailing(engine, settings, Outcome.REJECTED) for _ in range(2)]
    await query(
        engine,
        "UPDATE mailings SET finished_at = now() + interval '2 hours' WHERE id = :id RETURNING 1",
        id=recent,
    )
    before = await statistics(api, old)
    assert await remove_all(engine, settings, timedelta(0)) == 0, "nothing is old yet"

    assert await remove_all(engine, settings) == 3
    assert await counters(engine, old) == await counters(engine, recent) == {"sent": 22, "failed": 3}
    assert await query(engine, "SELECT DISTINCT mailing_id FROM messages") == [(recent,)]
    assert await query(engine, "SELECT DISTINCT mailing_id FROM jobs") == [(recent,)]
    assert await query(engine, "SELECT count(*) FROM attempts") == [(0,)]
    assert await statistics(api, old) == before
    shown = (await api.get(f"/api/mailing/{old}/")).json()
    assert (shown["removed"], shown["messages"]) == (25, [])
    assert shown["details_removed_at"] is not None
    assert (await api.get(f"/api/mailing/{recent}/")).json()["details_removed_at"] is None
    retry = {"status": ["failed"], "expired_at": (utc_now() + timedelta(hours=1)).isoformat()}
    assert (await api.post(f"/api/mailing/{old}/retry/", json=retry)).status_code == 409
    assert (await api.post(f"/api/mailing/{recent}/retry/", json=retry)).status_code == 200


async def test_messages_stay_while_the_filter_of_another_mailing_needs_them(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 5)
    old = await sent_mailing(engine, settings, Outcome.REJECTED)
    start, end = (f"{utc_now() + timedelta(hours=hours)}" for hours in (3, 4))
    body = {"starts_at": start, "expired_at": end, "text": "again", "filter": {"not": {"in_mailing": [old]}}}
    created = await api.post("/api/mailing/", json=body)
    assert created.status_code == 201, created.text
    assert await remove_all(engine, settings) == 0

    path = f"/api/mailing/{created.json()['id']}/"
    assert (await api.patch(path, json={"filter": "#other"})).status_code == 200
    assert await remove_all(engine, settings) == 1
    for refused in (
        await api.patch(path, json={"filter": body["filter"]}),
        await api.post("/api/mailing/", json=body),
    ):
        assert refused.status_code == 422
        assert "removed" in refused.json()["errors"][0]["message"]


async def test_nothing_is_removed_of_a_mailing_that_may_still_be_sent(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 25)
    waiting = await sent_mailing(engine, settings, Outcome.DEFERRED)
    assert await counters(engine, waiting) == {"sent": 22, "new": 3}
    assert await query(engine, "SELECT count(*) FROM attempts") == [(3,)]
    locked = await sent_mailing(engine, settings, Outcome.REJECTED)
    async with transaction(engine) as connection:
        # As a request for a retry does. The removal does not wait for it.
        await connection.execute(text("SELECT FROM mailings WHERE id = :id FOR NO KEY UPDATE"), {"id": locked})
        assert await remove_all(engine, settings) == 0
    assert await query(engine, "SELECT count(*) FROM messages") == [(50,)]
    assert await query(engine, "SELECT count(*) FROM attempts") == [(3,)], "those of open messages stay"
    assert await remove_all(engine, settings) == 3
    assert await query(engine, "SELECT DISTINCT mailing_id FROM messages") == [(waiting,)]


async def test_old_single_messages_leave_with_their_texts(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings
) -> None:
    for number in range(5):
        body = {"number": 79_050_000_000 + number, "text": "code"}
        assert (await api.post("/api/message/", json=body)).status_code == 201
    mailing_ids = [int(str(row[0])) for row in await query(engine, "SELECT id FROM mailings ORDER BY id")]
    jobs = await release(engine, *mailing_ids)
    await report(engine, settings, jobs[:4], Outcome.REJECTED)
    before = (await api.get("/api/statistics/")).json()["single_messages"]
    assert before["failed"] == 4
    assert await remove_all(engine, settings) >= 2
    left = [(jobs[4].mailing_id,)]
    assert await query(engine, "SELECT id FROM mailings") == left
    for table in ("messages", "jobs", "counters"):
        assert await query(engine, f"SELECT mailing_id FROM {table}") == left
    assert await query(engine, "SELECT count(*) FROM attempts") == [(0,)]
    assert (await api.get("/api/statistics/")).json()["single_messages"] == before


async def test_never_keeps_rows_for_ever(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await add_clients(engine, 25)
    await sent_mailing(engine, settings, Outcome.REJECTED)
    never = {"keep_messages": "never", "keep_singles": "never", "keep_attempts": "never"}
    forever = PlannerSettings.model_validate({**settings.model_dump(), **never})
    assert await remove_all(engine, forever, timedelta(days=10_000)) == 0
    assert await query(engine, "SELECT count(*) FROM messages") == [(25,)]
