"""Servers to test on: those that the environment names, else containers, else private ones of `deploy.local`."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from deploy.local.rabbitmq_programs import (
    DOCKER_IMAGE,
    Notify,
    docker_answers,
    docker_image_available,
    install,
    installed_programs,
)
from deploy.local.stack import BROKER_VARIABLE, DATABASE_VARIABLE
from deploy.local.stack import Servers as PrivateServers
from shared.broker.connection import close, connect
from shared.ledger import access_tables, notifier_tables  # noqa: F401 - their tables belong to the metadata
from shared.ledger.tables import Table
from shared.topology import QUEUES, TIMEOUT, dead_queue, declare
from tests.urls import with_database

REPOSITORY = Path(__file__).parents[1]
POSTGRES_IMAGE = "postgres:18.6"
RABBITMQ_IMAGE = DOCKER_IMAGE


@dataclass(frozen=True, slots=True)
class Servers:
    """Addresses. A new database can be created beside the one of `database_url`."""

    database_url: str
    broker_url: str


def prepare_servers(notify: Notify) -> None:
    """Get what `found_servers` needs. This may take minutes, so it is no part of a test with its time limit."""
    given = _given()
    if (given.database_url and given.broker_url) or (reason := why_no_containers()) is None:
        return
    notify(f"{reason}: the tests run on private servers")
    if not (given.broker_url or installed_programs()):
        install(notify, REPOSITORY / ".local" / "install.log")


@contextmanager
def found_servers() -> Iterator[Servers]:
    """Start the servers that the environment does not name, and stop them at the end."""
    given = _given()
    if given.database_url and given.broker_url:
        yield given
        return
    with _private() if why_no_containers() else _containers_beside(given) as servers:
        yield servers


def _given() -> Servers:
    return Servers(os.environ.get(DATABASE_VARIABLE, ""), os.environ.get(BROKER_VARIABLE, ""))


@cache
def why_no_containers() -> str | None:
    """Return None if Docker answers and has both images, or can pull them."""
    if not docker_answers():
        return "Docker does not answer"
    for image in (POSTGRES_IMAGE, RABBITMQ_IMAGE):
        if not docker_image_available(image, print):
            return f"Docker has no image {image} and cannot pull it"
    return None


@contextmanager
def _private() -> Iterator[Servers]:
    """Run private servers; a server that the environment names is used as it is."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "only")  # each worker has its own servers
    with PrivateServers(REPOSITORY / ".local" / f"test-{worker}", throwaway=True) as servers:
        yield Servers(servers.database_url, servers.broker_url)


@contextmanager
def _containers_beside(given: Servers) -> Iterator[Servers]:
    """Run a container for each server that is not given."""
    # The containers end with this block, so that the reaper image of testcontainers is not needed.
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
    """Create a database without a schema, yield its URL, and drop it afterwards."""
    name = f"mailing_{purpose}_{os.getpid()}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} ENCODING 'UTF8' TEMPLATE template0").format(sql.Identifier(name))
        )
        yield with_database(servers.database_url, name)
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def empty_tables(database_url: str) -> None:
    """Remove every row, and let ids begin at 1."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(Table.metadata.tables))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))


async def empty_queues(broker_url: str) -> None:
    """Remove what killed processes left in the queues, because it refers to rows that are gone."""
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    with_dead_letters = {queue.name for queue in QUEUES if queue.dead_letters}
    for name, queue in (await declare(channel)).items():
        await queue.purge(timeout=TIMEOUT)
        if name in with_dead_letters:
            dead = await channel.get_queue(dead_queue(name), ensure=False)
            await dead.purge(timeout=TIMEOUT)
    await close(connection)
