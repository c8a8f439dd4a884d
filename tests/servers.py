"""Finds the servers to test on, and empties them."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr

from deploy.local.rabbitmq_programs import docker_answers
from deploy.local.stack import BROKER_VARIABLE, DATABASE_VARIABLE
from deploy.local.stack import Servers as PrivateServers
from shared.broker.connection import close, connect
from shared.ledger.tables import Table
from shared.topology import PLANNER_QUESTIONS, TIMEOUT, declare

REPOSITORY = Path(__file__).parents[1]
# Whatever release of these is at hand: CI and deploy/compose.yaml, which must not change by themselves, name one.
POSTGRES_IMAGE = "postgres:18"
RABBITMQ_IMAGE = "rabbitmq:4-management"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they are. `database_url` is of a database that a fresh one may be created beside."""

    database_url: str
    broker_url: str


@contextmanager
def found_servers() -> Iterator[Servers]:
    """The servers, started if need be and then stopped at the end: each the one that the environment names, else a
    container where Docker answers, else a private one."""
    given = Servers(os.environ.get(DATABASE_VARIABLE, ""), os.environ.get(BROKER_VARIABLE, ""))
    if given.database_url and given.broker_url:
        yield given
        return
    with _containers_beside(given) if docker_answers() else _private() as servers:
        yield servers


@contextmanager
def _private() -> Iterator[Servers]:
    """Of these, too, one that the environment names is used as it is."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "only")  # of several that run tests side by side
    with PrivateServers(REPOSITORY / ".local" / f"test-{worker}", throwaway=True) as servers:
        yield Servers(servers.database_url, servers.broker_url)


@contextmanager
def _containers_beside(given: Servers) -> Iterator[Servers]:
    """A container for each that is not given. They end with this block: the reaper image of testcontainers is not
    needed for that."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    with ExitStack() as stack:
        yield Servers(
            given.database_url or stack.enter_context(_postgres_container()),
            given.broker_url or stack.enter_context(_rabbitmq_container()),
        )


@contextmanager
def _postgres_container() -> Iterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    with PostgresContainer(POSTGRES_IMAGE, driver=None) as postgres:
        yield postgres.get_connection_url()


@contextmanager
def _rabbitmq_container() -> Iterator[str]:
    from testcontainers.community.rabbitmq import RabbitMqContainer

    with RabbitMqContainer(RABBITMQ_IMAGE) as rabbitmq:
        address = f"{rabbitmq.get_container_host_ip()}:{rabbitmq.get_exposed_port(rabbitmq.port)}"
        yield f"amqp://{rabbitmq.username}:{rabbitmq.password}@{address}/"


@contextmanager
def own_database(servers: Servers, purpose: str) -> Iterator[str]:
    """The URL of a new database without a schema, dropped afterwards."""
    name = f"mailing_{purpose}_{os.getpid()}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(name))
        )
        yield urlsplit(servers.database_url)._replace(path=f"/{name}").geturl()
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def empty_tables(database_url: str) -> None:
    """Removes every row. Ids begin anew."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(Table.metadata.tables))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))


async def empty_queues(broker_url: str) -> None:
    """Removes what killed processes left in the queues: it speaks of rows that are gone."""
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    for name, queue in (await declare(channel)).items():
        await queue.purge(timeout=TIMEOUT)
        if name != PLANNER_QUESTIONS:
            dead = await channel.get_queue(f"{name}.dead", ensure=False)
            await dead.purge(timeout=TIMEOUT)
    await close(connection)
