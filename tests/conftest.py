"""The servers that tests run on: real PostgreSQL and RabbitMQ, or the tests fail.

Each is found in this order: `MAILING_DATABASE_URL` or `MAILING_BROKER_URL`, else a container where Docker answers,
else a private server of `deploy.local`. A database of its own is made on the server, whatever it is; the
broker's queues of the service are purged.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import open_engine
from shared.ledger.migrations import migrate
from tests.servers import Servers, empty_queues, empty_tables, found_servers, own_database

pytest_plugins = ["tests.sandbox"]


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Both servers, for the whole run."""
    with found_servers() as found:
        yield found


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> Iterator[str]:
    """An empty database at the current schema, dropped afterwards."""
    with own_database(servers, "test") as url:
        migrate(SecretStr(url.replace("postgresql://", "postgresql+psycopg://", 1)))
        yield url


@pytest.fixture(scope="session")
def broker_url(servers: Servers) -> str:
    """An AMQP URL."""
    return servers.broker_url


@pytest.fixture
def clean_database(database_url: str) -> None:
    """Empties every table before the test."""
    empty_tables(database_url)


@pytest.fixture
async def clean_broker(broker_url: str) -> None:
    """Empties every queue before the test."""
    await empty_queues(broker_url)


@pytest.fixture
async def engine(database_url: str, clean_database: None) -> AsyncIterator[AsyncEngine]:
    """An engine on the clean database."""
    url = SecretStr(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    opened = open_engine(url, "tests")
    yield opened
    await opened.dispose()
