"""The API while a server is away, and after its return."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import psycopg
import pytest
from aio_pika.abc import AbstractQueue
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import LogCapture

from shared.broker.connection import close, connect
from shared.contracts import EVENT, STOPS
from shared.database.transactions import transaction
from shared.topology import CONTROL, EVENTS, declare
from tests.e2e.system import until
from tests.integration.api_client import (
    NOWHERE,
    address_of_broker,
    address_of_database,
    api_on,
    eventually,
    waits_for_a_lock,
    wire_to,
)
from tests.integration.ledger import query
from tests.servers import Servers, own_database
from tests.urls import with_address

ANNA = {"number": 79057003050, "tag": "#x", "zone": "Europe/Moscow"}
HELLO = {
    "starts_at": "2090-01-31T10:00:00Z",
    "expired_at": "2090-01-31T18:00:00Z",
    "text": "hello",
    "filter": "#x",
}
NO_BROKER = f"amqp://{NOWHERE}/"
REQUESTS: list[tuple[str, str, object]] = [
    ("GET", "/api/client/", None),
    ("GET", "/api/client/1/", None),
    ("POST", "/api/client/", ANNA),
    ("PATCH", "/api/client/1/", {"tag": "#y"}),
    ("DELETE", "/api/client/1/", None),
    ("GET", "/api/mailing/", None),
    ("POST", "/api/mailing/", HELLO),
    ("PATCH", "/api/mailing/1/", {"text": "bye"}),
    ("POST", "/api/mailing/1/pause/", None),
    ("GET", "/api/mailing/1/messages/", None),
    ("GET", "/api/message/1/", None),
    ("GET", "/readyz", None),
]


def is_unavailable(answer: httpx.Response) -> bool:
    assert answer.headers["content-type"] == "application/problem+json"
    return (answer.status_code, answer.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(("method", "path", "body"), REQUESTS)
async def test_without_a_database_every_route_that_needs_it_answers_503_with_retry_after(
    method: str, path: str, body: object
) -> None:
    async with api_on(f"postgresql://nobody@{NOWHERE}/nothing", NO_BROKER, access="open") as api:
        began = time.monotonic()
        answer = await api.request(method, path, json=body)
        assert is_unavailable(answer)
        assert time.monotonic() - began < 6
        assert (await api.get("/healthz")).json() == {"status": "ok"}


async def test_a_frozen_database_delays_no_answer_for_long(database_url: str, clean_database: None) -> None:
    async with (
        wire_to(address_of_database(database_url)) as wire,
        api_on(with_address(database_url, wire.address), NO_BROKER, patience=timedelta(seconds=0.5)) as api,
    ):
        assert (await api.post("/api/client/", json=ANNA)).status_code == 201
        mailing = await api.post("/api/mailing/", json=HELLO)
        wire.freeze()
        began = time.monotonic()
        answers = await asyncio.gather(
            *(api.request(method, path, json=body) for method, path, body in REQUESTS * 3)
        )
        assert all(is_unavailable(answer) for answer in answers)
        assert time.monotonic() - began < 4  # the ping of /readyz waits for 2 s at most
        assert (await api.get("/healthz")).status_code == 200
        wire.thaw()
        path = f"/api/mailing/{mailing.json()['id']}/"
        await eventually(lambda: _answer_200(api, path), patience=30)


async def test_a_database_that_comes_back_is_used_again(database_url: str, clean_database: None) -> None:
    async with (
        wire_to(address_of_database(database_url)) as wire,
        api_on(with_address(database_url, wire.address), NO_BROKER) as api,
    ):
        client = (await api.post("/api/client/", json=ANNA)).json()
        await wire.cut()
        assert is_unavailable(await api.get("/api/client/1/"))
        assert is_unavailable(await api.get("/readyz"))
        await wire.connect()
        answer = await api.get("/api/client/1/")
        assert (answer.status_code, answer.json()) == (200, client)
        assert (await api.get("/readyz")).json() == {
            "status": "ok",
            "database": "ok",
            "access": "tokens",
            "broker": "unavailable",
            "clock": "ok",
        }


@pytest.mark.parametrize(
    ("state", "reason"),
    [("disk_full", "PostgreSQL's disk is full"), ("read_only_sql_transaction", "PostgreSQL is read-only")],
)
async def test_a_change_that_the_database_cannot_store_now_is_answered_503_with_the_reason(
    database_url: str, engine: AsyncEngine, state: str, reason: str
) -> None:
    async with without_room(engine, state), api_on(database_url, NO_BROKER) as api:
        upload = {"content": "number,tag,zone\n79057003050,#x,UTC", "headers": {"Content-Type": "text/csv"}}
        for answer in (
            await api.post("/api/client/", json=ANNA),
            await api.post("/api/client/import/", **upload),  # type: ignore[arg-type]
        ):
            assert is_unavailable(answer)
            assert answer.json()["detail"].startswith(reason)
        assert (await api.get("/api/client/")).json()["items"] == []


@asynccontextmanager
async def without_room(engine: AsyncEngine, state: str) -> AsyncIterator[None]:
    """Let PostgreSQL refuse every new client with this error."""
    await execute(
        engine,
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '{state}'; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON clients EXECUTE FUNCTION refuse()",
    )
    try:
        yield
    finally:
        await execute(engine, "DROP FUNCTION refuse CASCADE")


async def execute(engine: AsyncEngine, *statements: str) -> None:
    """Execute the statements in a transaction."""
    async with transaction(engine) as connection:
        for statement in statements:
            await connection.execute(text(statement))


async def test_connections_that_the_server_closed_in_between_are_noticed_before_they_are_used(
    database_url: str, clean_database: None
) -> None:
    async with api_on(database_url, NO_BROKER) as api:
        for _ in range(3):
            await asyncio.gather(*(api.get("/api/client/") for _ in range(10)))
            assert (await api.post("/api/mailing/", json=HELLO)).status_code == 201
            with psycopg.connect(database_url, autocommit=True) as connection:
                ended = connection.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE application_name LIKE 'api@%' AND datname = current_database()"
                ).fetchall()
            assert len(ended) >= 2
            answers = await asyncio.gather(*(api.get("/api/client/") for _ in range(10)))
            assert {answer.status_code for answer in answers} == {200}


async def test_a_change_that_waits_for_a_lock_waits_no_longer_than_its_patience(
    database_url: str, clean_database: None
) -> None:
    async with api_on(database_url, NO_BROKER, patience=timedelta(seconds=0.5)) as api:
        await api.post("/api/mailing/", json=HELLO)
        async with await psycopg.AsyncConnection.connect(database_url) as other:
            await other.execute("SELECT FROM mailings FOR UPDATE")
            began = time.monotonic()
            assert is_unavailable(await api.patch("/api/mailing/1/", json={"text": "bye"}))
            assert 0.4 < time.monotonic() - began < 2
            assert (await api.get("/api/mailing/1/")).json()["text"] == "hello"
        changed = await api.patch("/api/mailing/1/", json={"text": "bye"})
        assert (changed.status_code, changed.json()["text"]) == (200, "bye")


async def test_the_victim_of_a_deadlock_tries_again(database_url: str, clean_database: None) -> None:
    async with api_on(database_url, NO_BROKER) as api:
        await api.post("/api/mailing/", json=HELLO)
        async with (
            await psycopg.AsyncConnection.connect(database_url) as other,
            await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watch,
        ):
            # The deletion locks the mailing and waits for the outbox, which we hold. Then we wait for the mailing.
            await other.execute(
                "SET deadlock_timeout = '10s'"
            )  # the one that checks first is the victim, and that is not us
            await other.execute("LOCK TABLE outbox IN ACCESS EXCLUSIVE MODE")
            deletion = asyncio.create_task(api.delete("/api/mailing/1/"))
            await eventually(lambda: waits_for_a_lock(watch))
            await other.execute("SELECT FROM mailings FOR UPDATE")
        assert (await deletion).status_code == 204
        assert (await api.get("/api/mailing/1/")).status_code == 404


async def test_events_and_stops_reach_rabbitmq_at_once_and_leave_the_outbox(
    database_url: str, broker_url: str, engine: AsyncEngine, queues: dict[str, AbstractQueue]
) -> None:
    async with api_on(database_url, broker_url) as api:
        await api.post("/api/mailing/", json=HELLO, headers={"X-Request-ID": "abc"})
        created = EVENT.validate_json(await _next(queues[EVENTS]))
        assert (created.kind, created.mailing_id, created.request_id) == ("mailing.created", 1, "abc")
        began = time.monotonic()
        for revision in range(1, 6):
            await api.post("/api/mailing/1/pause/")
            assert STOPS.validate_json(await _next(queues[CONTROL])).revisions == {1: revision}
            assert EVENT.validate_json(await _next(queues[EVENTS])).kind == "mailing.stopped"
            await api.post("/api/mailing/1/resume/")
            assert EVENT.validate_json(await _next(queues[EVENTS])).kind == "mailing.resumed"
        assert time.monotonic() - began < 5, "the relay was woken: just looking every second, it would take ten"
        assert (await api.get("/readyz")).json()["broker"] == "ok"
    assert await query(engine, "SELECT count(*) FROM outbox") == [(0,)]


async def test_the_broker_is_connected_before_there_is_anything_to_publish(
    database_url: str, broker_url: str, clean_database: None
) -> None:
    async def broker_is_there() -> bool | None:
        return (await api.get("/readyz")).json()["broker"] == "ok" or None

    async with api_on(database_url, broker_url) as api:
        await eventually(broker_is_there)


async def test_requests_are_accepted_while_rabbitmq_is_away_and_their_events_are_published_later(
    database_url: str, broker_url: str, engine: AsyncEngine, queues: dict[str, AbstractQueue]
) -> None:
    async with (
        wire_to(address_of_broker(broker_url)) as wire,
        api_on(database_url, with_address(broker_url, wire.address)) as api,
    ):
        await api.post("/api/mailing/", json=HELLO)
        assert EVENT.validate_json(await _next(queues[EVENTS])).mailing_id == 1

        async def confirmed() -> bool:  # RabbitMQ confirms after it delivers
            return await query(engine, "SELECT count(*) FROM outbox") == [(0,)]

        await until(confirmed, timeout=10, what="RabbitMQ has confirmed the first event")
        await wire.cut()
        answers = [await api.post("/api/mailing/", json=HELLO) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201] * 3
        ready = await api.get("/readyz")
        assert (ready.status_code, ready.json()["broker"]) == (200, "unavailable")
        assert await query(engine, "SELECT count(*) FROM outbox") == [(3,)]
        await wire.connect()
        events = [EVENT.validate_json(await _next(queues[EVENTS])) for _ in range(3)]
        assert [event.mailing_id for event in events] == [2, 3, 4]
    assert await query(engine, "SELECT count(*) FROM outbox") == [(0,)]


@pytest.fixture
async def queues(broker_url: str, clean_database: None) -> AsyncIterator[dict[str, AbstractQueue]]:
    """Return queues for the events of the planners and the stops of the senders, by exchange."""
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    await declare(channel)
    queues = {}
    for exchange, key in ((EVENTS, "mailing.*"), (CONTROL, "")):
        queues[exchange] = await channel.declare_queue(exclusive=True)
        await queues[exchange].bind(exchange, key)
    yield queues
    await close(connection)


async def _next(queue: AbstractQueue) -> bytes:
    message = await eventually(lambda: queue.get(no_ack=True, fail=False))
    return message.body


async def _answer_200(api: httpx.AsyncClient, path: str) -> bool | None:
    return (await api.get(path)).status_code == 200 or None


async def test_a_database_without_the_schema_is_not_ready_and_the_log_says_what_to_do(
    servers: Servers, lines: LogCapture
) -> None:
    with own_database(servers, "empty") as url:
        async with api_on(url, NO_BROKER, access="open") as api:
            for path in ("/readyz", "/api/client/"):
                answer = await api.get(path)
                assert is_unavailable(answer)
                assert "run `mailing migrate`" in answer.json()["detail"]
            assert (await api.get("/healthz")).status_code == 200
    assert not [line for line in lines.entries if "exc_info" in line]
    told = [str(line["error"]) for line in lines.entries if line["event"] == "database_unavailable"]
    assert told
    assert all("run `mailing migrate`" in error and "\n" not in error for error in told)
