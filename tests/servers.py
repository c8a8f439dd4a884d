"""Finds the servers to test on, and empties them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr

from deploy.local.rabbitmq_programs import docker_answers
from deploy.local.stack import BROKER_VARIABLE, DATABASE_VARIABLE
from deploy.local.stack import Servers as PrivateServers
from shared.broker import close, connect
from shared.tables import Table
from shared.topology import PLANNER_QUESTIONS, TIMEOUT, declare

REPOSITORY = Path(__file__).parents[1]
POSTGRES_IMAGE = "postgres:18"
RABBITMQ_IMAGE = "rabbitmq:4-management"


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they are. `database_url` is of a database that a fresh one may be created beside."""

    database_url: str
    broker_url: str


@contextmanager
def found_servers() -> Iterator[Servers]:
    """The servers, started if need be and then stopped at the end: what the environment names, else containers
    where Docker answers, else private ones."""
    given = {DATABASE_VARIABLE, BROKER_VARIABLE} & os.environ.keys()
    if len(given) == 2:
        yield Servers(os.environ[DATABASE_VARIABLE], os.environ[BROKER_VARIABLE])
        return
    with _containers() if not given and docker_answers() else _private() as servers:
        yield servers


@contextmanager
def _private() -> Iterator[Servers]:
    worker = os.environ.get("PYTEST_XDIST_WORKER", "only")  # of several that run tests side by side
    with PrivateServers(REPOSITORY / ".local" / f"test-{worker}", throwaway=True) as servers:
        yield Servers(servers.database_url, servers.broker_url)


@contextmanager
def _containers() -> Iterator[Servers]:
    """Containers that end with this block; the reaper image of testcontainers is not needed for that."""
    os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.community.rabbitmq import RabbitMqContainer

    with PostgresContainer(POSTGRES_IMAGE, driver=None) as postgres, RabbitMqContainer(RABBITMQ_IMAGE) as rabbitmq:
        address = f"{rabbitmq.get_container_host_ip()}:{rabbitmq.get_exposed_port(rabbitmq.port)}"
        broker_url = f"amqp://{rabbitmq.username}:{rabbitmq.password}@{address}/"
        yield Servers(postgres.get_connection_url(), broker_url)


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
