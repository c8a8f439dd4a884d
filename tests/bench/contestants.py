"""Contestants: our system, the same job with Celery and with Dramatiq, and the floor.

Each is a context in which it is up and warm, and gives a `Contestant`.
"""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString, Protocol

import psycopg
from psycopg import sql

from deploy.local.leashed_process import LeashedProcess
from shared.ledger.tables import Client, Table
from tests.bench.commanded import Commanded, commanded
from tests.bench.ledger_alone import settle_a_mailing
from tests.bench.nginx import Nginx
from tests.directory import add_clients
from tests.e2e.system import System, running_system
from tests.servers import Servers
from tests.urls import with_database

REPOSITORY = Path(__file__).parents[2]
BASELINES = Path(__file__).parent / "baselines"
BASELINES_BIN = REPOSITORY / ".venv-bench" / "bin"
BASELINES_DATABASE = "baselines"
TEXT = "Your order is ready. Come and fetch it today until 21:00."
FIRST_NUMBER = 79_000_000_000
AUDIENCE, WARM_AUDIENCE = "#bench", "#warm"
WARM = 2_000  # messages before those that count: connections stand, plans are cached, code is loaded
IN_FLIGHT = 64  # of the bare engine, as a sender has
GLANCE, SLOW_GLANCE = 0.02, 0.25  # seconds between two looks at how far it is
STANDSTILL = 30.0  # seconds without any change, after which waiting is given up


LEFT = """
SELECT count(*) FILTER (WHERE status = 'new'), extract(epoch FROM max(sent_at))
  FROM messages WHERE id BETWEEN %s AND %s
"""
SIZE = """
SELECT sum(pg_total_relation_size(name)), (SELECT count(*) FROM messages)
  FROM unnest('{messages,jobs,attempts}'::regclass[]) AS name
"""


@dataclass(frozen=True, slots=True)
class World:
    """Parts that all contestants share."""

    servers: Servers
    nginx: Nginx
    logs: Path
    tell: Callable[[str], None] = field(compare=False)

    @property
    def baselines_url(self) -> str:
        """Their own database, in the same PostgreSQL."""
        return with_database(self.servers.database_url, BASELINES_DATABASE)


class Contestant(Protocol):
    """One that is up. It delivers once."""

    async def deliver(self) -> float:
        """Seconds from the order to send until the last status was committed."""
        ...

    def recorded(self) -> Iterable[int]:
        """The ids of the messages that count as sent, by its own account; of the warm-up too."""
        ...

    def pids(self) -> Mapping[str, Sequence[int]]:
        """The processes whose time is counted, by what they are."""
        ...


Opening = Callable[[World, int], AbstractAsyncContextManager[Contestant]]


@dataclass(frozen=True, slots=True)
class Ours:
    system: System
    database_url: str
    messages: int

    async def deliver(self) -> float:
        return await self._deliver(AUDIENCE, self.messages)

    async def _deliver(self, audience: str, messages: int) -> float:
        settled, changed_at = 0, time.monotonic()
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            began = time.perf_counter()
            mailing = await self.system.add_mailing(audience, text=TEXT)
            while settled < messages:
                await asyncio.sleep(GLANCE)
                row = connection.execute(
                    "SELECT total - new - active FROM counters WHERE mailing_id = %s", (mailing,)
                ).fetchone()
                if row and row[0] > settled:
                    settled, changed_at = row[0], time.monotonic()
                _refuse_to_wait(changed_at, f"{settled} of {messages} messages are settled")
            return time.perf_counter() - began

    async def warm_up(self) -> None:
        await self._deliver(WARM_AUDIENCE, WARM)

    def pids(self) -> dict[str, list[int]]:
        processes = self.system.processes.items()
        return {
            kind: [process.pid for name, process in processes if name.startswith(kind)]
            for kind in ("sender", "planner")
        }

    def recorded(self) -> Iterable[int]:
        with psycopg.connect(self.database_url) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM messages WHERE status = 'sent'")]


def ours(senders: int) -> Opening:
    """The whole system: an API, a planner and so many senders, each a process. It has the clients already."""

    @asynccontextmanager
    async def opening(world: World, messages: int) -> AsyncIterator[Contestant]:
        url = world.servers.database_url
        empty_all_but_clients(url)
        have_clients(url, {WARM_AUDIENCE: WARM, AUDIENCE: messages})
        async with running_system(world.servers, world.nginx, world.logs, senders=senders) as system:
            pids = ", ".join(f"{name} {process.pid}" for name, process in system.processes.items())
            world.tell(f"processes: {pids}, nginx {world.nginx.pid}")
            contestant = Ours(system, url, messages)
            await contestant.warm_up()
            yield contestant

    return opening


@dataclass(frozen=True, slots=True)
class Baseline:
    enqueuing: Commanded
    database_url: str
    messages: int

    async def deliver(self) -> float:
        return await self._deliver(range(WARM + 1, WARM + self.messages + 1))

    async def _deliver(self, ids: range) -> float:
        left, changed_at = len(ids), time.monotonic()
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            began_at = time.time()
            await self.enqueuing.do(ids)
            while left:
                # The instant of the end is read off the rows: looking so rarely costs neither time nor accuracy.
                await asyncio.sleep(SLOW_GLANCE)
                now_left, last = _only_row(connection, LEFT, (ids.start, ids.stop - 1))
                if now_left < left:
                    left, changed_at = now_left, time.monotonic()
                _refuse_to_wait(changed_at, f"{left} of {len(ids)} messages are left")
            return float(last) - began_at

    async def warm_up(self) -> None:
        await self._deliver(range(1, WARM + 1))

    def pids(self) -> dict[str, list[int]]:
        return {}

    def recorded(self) -> Iterable[int]:
        with psycopg.connect(self.database_url) as connection:
            return [row[0] for row in connection.execute("SELECT id FROM messages WHERE status = 'sent'")]


def baseline(worker: Sequence[str], module: str) -> Opening:
    """Workers started by `worker`, and a process of `module` that enqueues. It has the messages already."""

    @asynccontextmanager
    async def opening(world: World, messages: int) -> AsyncIterator[Contestant]:
        url = world.baselines_url
        have_messages(url, WARM + messages)
        environment = {
            **os.environ,
            "BROKER_URL": world.servers.broker_url,
            "DATABASE_URL": url,
            "PROVIDER_URL": world.nginx.url,
            "PROVIDER_TOKEN": world.nginx.token,
        }
        log = world.logs / f"{module}.log"
        program, *arguments = worker
        with log.open("ab") as out:
            workers = LeashedProcess(
                [str(BASELINES_BIN / program), *arguments], output=out, env=environment, cwd=BASELINES
            )
        enqueue = (str(BASELINES_BIN / "python"), f"{module}.py")
        try:
            async with commanded(enqueue, environment, BASELINES, log) as enqueuing:
                contestant = Baseline(enqueuing, url, messages)
                await contestant.warm_up()
                yield contestant
        finally:
            await asyncio.to_thread(workers.stop)

    return opening


@dataclass(frozen=True, slots=True)
class Floor:
    posting: Commanded
    database_url: str
    messages: int

    async def deliver(self) -> float:
        """The POSTs by the bare engine, then the ledger's part alone: the sum of both times."""
        began = time.perf_counter()
        await self.posting.do(range(WARM + 1, WARM + self.messages + 1))
        posted = time.perf_counter() - began
        return posted + await settle_a_mailing(self.database_url, AUDIENCE)

    def pids(self) -> dict[str, list[int]]:
        return {}

    def recorded(self) -> Iterable[int]:
        return range(1, WARM + self.messages + 1)


@asynccontextmanager
async def floor(world: World, messages: int) -> AsyncIterator[Contestant]:
    """One process that POSTs, and one connection to PostgreSQL. It has the clients already."""
    url = world.servers.database_url
    empty_all_but_clients(url)
    have_clients(url, {WARM_AUDIENCE: WARM, AUDIENCE: messages})
    environment = {
        **os.environ,
        "PROVIDER_URL": world.nginx.url,
        "PROVIDER_TOKEN": world.nginx.token,
        "TEXT": TEXT,
        "CONCURRENCY": str(IN_FLIGHT),
    }
    command = (sys.executable, "-m", "tests.bench.bare")
    async with commanded(command, environment, REPOSITORY, world.logs / "bare.log") as posting:
        await posting.do(range(1, WARM + 1))
        await settle_a_mailing(url, WARM_AUDIENCE)
        yield Floor(posting, url, messages)


CONTESTANTS: dict[str, Opening] = {
    "ours-2": ours(senders=2),
    "ours-1": ours(senders=1),
    "celery": baseline(
        ("celery", "--app", "celery_app", "worker", "--concurrency", "2", "--loglevel", "warning"), "celery_app"
    ),
    "dramatiq": baseline(("dramatiq", "dramatiq_app", "--processes", "2", "--threads", "8"), "dramatiq_app"),
    "floor": floor,
}


def empty_all_but_clients(database_url: str) -> None:
    """Ids begin anew."""
    names = sql.SQL(", ").join(
        sql.Identifier(name) for name in sorted(Table.metadata.tables.keys() - {Client.__tablename__})
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names))
        connection.execute("CHECKPOINT")


def have_clients(database_url: str, audiences: Mapping[str, int]) -> None:
    """So many clients with each tag, straight into the directory, unless they are there already."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute("SELECT tag, count(*) FROM clients GROUP BY tag").fetchall()
        if dict(rows) == audiences:
            return
        connection.execute("TRUNCATE clients RESTART IDENTITY")
        for tag, count in audiences.items():
            add_clients(database_url, tag, count, first=FIRST_NUMBER)
        connection.execute("VACUUM (ANALYZE) clients")


def have_messages(database_url: str, count: int) -> None:
    """The baselines' table, made anew with so many messages that are not sent yet."""
    server, _, database = database_url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as connection:
        known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone()
        if known is None:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS messages")
        connection.execute(
            "CREATE TABLE messages (id bigint PRIMARY KEY, number bigint NOT NULL, text text NOT NULL,"
            " status text NOT NULL DEFAULT 'new', sent_at timestamptz) WITH (fillfactor = 75)"
        )
        connection.execute(
            "INSERT INTO messages (id, number, text) SELECT n, %s + n, %s FROM generate_series(1, %s) AS n",
            (FIRST_NUMBER, TEXT, count),
        )
        connection.execute("VACUUM (ANALYZE) messages")
        connection.execute("CHECKPOINT")


def bytes_per_message(database_url: str) -> float:
    """Return the bytes of a message: its table, its part of jobs and attempts, and all their indexes."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) messages, jobs, attempts")  # as autovacuum will
        size, count = _only_row(connection, SIZE)
        return float(size) / int(count)


def _only_row(connection: psycopg.Connection, query: LiteralString, values: Sequence[int] = ()) -> tuple[Any, ...]:
    row = connection.execute(query, values).fetchone()
    assert row is not None
    return row


def _refuse_to_wait(changed_at: float, found: str) -> None:
    assert time.monotonic() < changed_at + STANDSTILL, f"nothing moved for {STANDSTILL:.0f} s: {found}"
