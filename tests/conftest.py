"""The servers that tests run on: real PostgreSQL and RabbitMQ, or the tests fail.

Found in this order: `MAILING_DATABASE_URL` / `MAILING_BROKER_URL`, else testcontainers where Docker answers,
else the private servers of `deploy.local`. A database of its own is made on the server, whatever it is; the
broker's queues of the service are purged.
"""

import os
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker import close, connect
from shared.database import open_engine
from shared.migrations import migrate
from shared.tables import Table
from shared.topology import PLANNER_QUESTIONS, TIMEOUT, declare
from tests.servers import Servers, found_servers

pytest_plugins = ["tests.sandbox"]

TABLES = ", ".join(sorted(Table.metadata.tables))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Both servers, for the whole run."""
    with found_servers() as found:
        yield found


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> Iterator[str]:
    """An empty database at the current schema, dropped afterwards."""
    name = f"mailing_test_{os.getpid()}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = urlunsplit(urlsplit(servers.database_url)._replace(path=f"/{name}"))
    migrate(SecretStr(url.replace("postgresql://", "postgresql+psycopg://", 1)))
    yield url
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="session")
def broker_url(servers: Servers) -> str:
    """An AMQP URL."""
    return servers.broker_url


@pytest.fixture
def clean_database(database_url: str) -> None:
    """Empties every table before the test."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"TRUNCATE {TABLES} RESTART IDENTITY CASCADE")  # type: ignore[arg-type]  # our own names


@pytest.fixture
async def clean_broker(broker_url: str) -> None:
    """Empties every queue before the test: what a killed process left there speaks of rows that are gone."""
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    for name, queue in (await declare(channel)).items():
        await queue.purge(timeout=TIMEOUT)
        if name != PLANNER_QUESTIONS:
            dead = await channel.get_queue(f"{name}.dead", ensure=False)
            await dead.purge(timeout=TIMEOUT)
    await close(connection)


@pytest.fixture
async def engine(database_url: str, clean_database: None) -> AsyncIterator[AsyncEngine]:
    """An engine on the clean database."""
    url = SecretStr(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    opened = open_engine(url, "tests")
    yield opened
    await opened.dispose()
