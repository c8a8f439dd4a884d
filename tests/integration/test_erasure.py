"""Erasure: a person leaves every table, and every count stays."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import orjson
import psycopg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner import recording
from services.planner.erasing import erase
from services.planner.expansion import expand_batch
from services.planner.reaping import ReapRound, finish
from services.planner.settings import PlannerSettings
from shared.access.roles import Role
from shared.contracts import Acceptance, Attempt, Job, JobReport, Outcome, Report, Result, utc_now
from shared.database.transactions import transaction
from shared.ledger.mailings import NOBODY
from tests.integration.api_client import NOWHERE, api_on
from tests.integration.ledger import claim, counters, query
from tests.tokens import bearer, create_api_token

NUMBER = 79_057_003_050
TAG = "#TagOfAnna"
SECRET = "TextForAnnaOnly"  # in the text of her single messages, and in the provider's answer
SOON = timedelta(minutes=2)  # no repeated report is expected after that


@pytest.fixture
async def anna(api: httpx.AsyncClient) -> int:
    """Create two clients in the audience of every mailing, and return the id of the first one."""
    body = {"number": NUMBER, "tag": "#first", "zone": "Europe/Moscow", "attributes": {"note": SECRET}}
    created = await api.post("/api/client/", json=body, headers={"Idempotency-Key": "anna"})
    other = await api.post("/api/client/", json=body | {"number": NUMBER + 1, "tag": TAG + "2", "attributes": {}})
    assert created.status_code == other.status_code == 201
    client_id = int(created.json()["id"])
    assert (await api.patch(f"/api/client/{client_id}/", json={"tag": TAG})).status_code == 200
    return client_id


@pytest.fixture
async def webhook(engine: AsyncEngine) -> None:
    await query(
        engine,
        "INSERT INTO webhooks (name, url, events, messages, secret)"
        " VALUES ('shop', 'http://shop', '{message.settled}', 'all', 'x') RETURNING id",
    )


@pytest.fixture
async def operator(database_url: str, clean_database: None) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url, f"amqp://{NOWHERE}/") as client:
        client.headers.update(bearer(await create_api_token(database_url, role=Role.OPERATOR)))
        yield client


async def create_mailing(api: httpx.AsyncClient, audience: object = None) -> int:
    now = utc_now()
    body = {
        "starts_at": now.isoformat(),
        "expired_at": (now + timedelta(hours=1)).isoformat(),
        "text": "for everybody",
        "filter": audience or {"zone": "Europe/Moscow"},
    }
    created = await api.post("/api/mailing/", json=body)
    assert created.status_code == 201, created.text
    return int(created.json()["id"])


async def send_single(api: httpx.AsyncClient, **to: int) -> int:
    answer = await api.post("/api/message/", json={**to, "text": SECRET}, headers={"Idempotency-Key": str(to)})
    assert answer.status_code == 201, answer.text
    mailing_id = answer.json()["id"]
    assert isinstance(mailing_id, int)
    return mailing_id


async def release_all(engine: AsyncEngine) -> list[Job]:
    now = utc_now()
    mailing_ids = [int(str(row[0])) for row in await query(engine, "SELECT DISTINCT mailing_id FROM jobs")]
    async with transaction(engine) as connection:
        return await claim(connection, dict.fromkeys(mailing_ids, 10), now + timedelta(minutes=1), now)


async def report(
    engine: AsyncEngine, settings: PlannerSettings, jobs: list[Job], refused_number: int | None = None
) -> None:
    """Report that the provider refused messages to one number, and accepted all others."""
    now = utc_now()
    at_ms = int(now.timestamp() * 1000)
    parts = [
        JobReport(
            job_id=job.job_id,
            release=job.release,
            mailing_id=job.mailing_id,
            accepted=tuple(Acceptance(one.id, at_ms, 3) for one in job.messages if one.number != refused_number),
            results=tuple(
                Result(
                    message_id=one.id,
                    outcome=Outcome.REJECTED,
                    attempts=(Attempt(at_ms, 5, Outcome.REJECTED, 400, f"{SECRET}: no such number {NUMBER}"),),
                )
                for one in job.messages
                if one.number == refused_number
            ),
        )
        for job in jobs
    ]
    reports = [Report(sender="s", jobs=tuple(parts))]
    await recording.record(engine, reports, now=now, policy=settings.policy(), chunk=10)
    await finish(ReapRound(engine, settings, now))


def rows_with(database_url: str, part: str) -> dict[str, int]:
    """Return by table how many rows contain the text in any column, also in bytes."""
    found = {}
    with psycopg.connect(database_url) as connection:
        tables = connection.execute("SELECT relname FROM pg_stat_user_tables ORDER BY relname").fetchall()
        for (table,) in tables:
            row = connection.execute(
                f'SELECT count(*) FROM "{table}" AS t WHERE to_jsonb(t)::text LIKE ANY(%s)',
                ([f"%{part}%", f"%{part.encode().hex()}%"],),
            ).fetchone()
            assert row is not None
            if row[0]:
                found[table] = row[0]
    return found


async def erase_at(engine: AsyncEngine, settings: PlannerSettings, now: datetime) -> None:
    while await erase(ReapRound(engine, settings, now)):
        pass


@pytest.mark.usefixtures("webhook")
async def test_an_erased_person_is_in_no_table_and_every_count_stays(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings, anna: int, database_url: str
) -> None:
    refused, sent, out = [await create_mailing(api) for _ in range(3)]
    named = await create_mailing(api, {"any": [{"number": [NUMBER]}, {"number": [NUMBER, NUMBER + 1]}]})
    await send_single(api, client=anna)
    await send_single(api, number=NUMBER)
    await expand_batch(engine, refused, chunk=10, batch=10, now=utc_now())
    await report(engine, settings, await release_all(engine), refused_number=NUMBER)
    await expand_batch(engine, sent, chunk=10, batch=10, now=utc_now())
    await report(engine, settings, await release_all(engine))
    await expand_batch(engine, out, chunk=10, batch=10, now=utc_now())
    with_sender = await release_all(engine)
    stop = await api.post("/api/stop/", json={"number": NUMBER, "note": SECRET})
    assert stop.status_code == 201
    for part in (str(NUMBER), TAG + '"', SECRET):
        assert rows_with(database_url, part), f"the test writes {part}"

    answer = await api.delete(f"/api/client/{anna}/?erase=true")
    assert answer.status_code == 202, answer.text
    erasure = f"/api/erasure/{answer.json()['id']}/"
    await erase_at(engine, settings, utc_now() + SOON)
    assert (await api.get(erasure)).json()["finished_at"] is None
    assert await query(engine, "SELECT mailing_id FROM messages WHERE client_id = :id", id=anna) == [(out,)]
    await report(engine, settings, with_sender)
    before, before_events = await statistics(api), await clients_in_events(engine)
    assert anna in before_events
    await erase_at(engine, settings, utc_now() + SOON)

    for part in (str(NUMBER), TAG + '"', SECRET):
        assert rows_with(database_url, part) == {}, part
    assert await clients_in_events(engine) == before_events - {anna} | {None}
    assert (await api.get(erasure)).json() == {
        **(await api.get("/api/erasure/")).json()["items"][0],
        "client_id": anna,
        "messages": 5,
    }
    assert (await api.get(erasure)).json()["finished_at"] is not None
    assert await statistics(api) == before
    for mailing_id in (refused, sent, out):
        assert (await counters(engine, mailing_id)).get("failed", 0) == (1 if mailing_id == refused else 0)
        assert (await api.get(f"/api/mailing/{mailing_id}/")).json()["removed"] == 1
    left = (await api.get(f"/api/mailing/{named}/")).json()["filter"]
    assert left == {"any": [{"number": [NOBODY]}, {"number": [NOBODY, NUMBER + 1]}]}
    # The other client has everything it had.
    assert await query(engine, "SELECT count(*), count(DISTINCT client_id) FROM messages") == [(3, 1)]
    assert len((await api.get(f"/api/message/?client={anna + 1}")).json()["items"]) == 3


async def clients_in_events(engine: AsyncEngine) -> set[int | None]:
    bodies = [orjson.loads(str(row[0])) for row in await query(engine, "SELECT body FROM deliveries")]
    return {message["client_id"] for body in bodies for message in body["data"]["messages"]}


async def statistics(api: httpx.AsyncClient) -> object:
    answer = (await api.get("/api/statistics/?step=hour")).json()
    return {name: answer[name] for name in ("totals", "messages", "single_messages", "reasons", "mailings")}


async def test_a_message_that_may_still_be_sent_or_reported_is_not_removed(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings, anna: int
) -> None:
    mailing_id = await create_mailing(api)
    await expand_batch(engine, mailing_id, chunk=10, batch=10, now=utc_now())
    jobs = await release_all(engine)
    first = await api.delete(f"/api/client/{anna}/?erase=true")
    assert await counters(engine, mailing_id) == {"active": 2}
    await erase_at(engine, settings, utc_now() + SOON)
    await report(engine, settings, jobs)
    await erase_at(engine, settings, utc_now())
    assert await query(engine, "SELECT count(*) FROM messages") == [(2,)], "a repeated report may still come"
    again = await api.delete(f"/api/client/{anna}/?erase=true")
    assert again.json() == first.json(), "one erasure for both requests"
    await erase_at(engine, settings, utc_now() + SOON)
    assert await query(engine, "SELECT count(*) FROM messages") == [(1,)]
    assert (await api.delete(f"/api/client/{anna}/?erase=true")).status_code == 404


async def test_a_client_that_was_deleted_before_can_be_erased(
    api: httpx.AsyncClient, engine: AsyncEngine, settings: PlannerSettings, anna: int
) -> None:
    mailing_id = await create_mailing(api)
    await expand_batch(engine, mailing_id, chunk=10, batch=10, now=utc_now())
    assert (await api.delete(f"/api/client/{anna}/")).status_code == 204
    assert await counters(engine, mailing_id) == {"new": 1, "canceled": 1}
    assert (await api.delete(f"/api/client/{anna}/?erase=true")).status_code == 202
    await erase_at(engine, settings, utc_now() + SOON)
    assert await counters(engine, mailing_id) == {"new": 1, "canceled": 1}
    assert await query(engine, "SELECT client_id FROM messages") == [(anna + 1,)]
    actions = "SELECT operation, before, after FROM audit WHERE noun = 'client' AND noun_id = :id ORDER BY id"
    assert [row[0] for row in await query(engine, actions, id=anna)][-2:] == ["client.delete", "client.erase"]
    assert all(row[1:] == (None, None) for row in await query(engine, actions, id=anna))


async def test_only_an_admin_may_erase(operator: httpx.AsyncClient) -> None:
    refused = await operator.delete("/api/client/1/?erase=true")
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:mailing:problem:role"
    assert (await operator.get("/api/erasure/")).status_code == 403
