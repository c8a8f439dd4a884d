"""Fixtures of the real servers that tests run on, PostgreSQL and RabbitMQ.

`tests.servers` finds them. The tests make their own database on the server, and purge the service's queues.
"""

import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings as hypothesis_settings
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.database.engine import open_engine
from shared.ledger.migrations import migrate
from tests.servers import (
    Servers,
    empty_queues,
    empty_tables,
    found_servers,
    own_database,
    prepare_servers,
)

# A busy machine is no fault of a property.
hypothesis_settings.register_profile("any_machine", deadline=None)
hypothesis_settings.load_profile("any_machine")

pytest_plugins = ["tests.sandbox"]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get the servers ready, if a test needs them: `tests/unit` needs none."""
    needed = any("servers" in getattr(item, "fixturenames", ()) for item in session.items)
    if needed and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            prepare_servers(lambda line: print(line, file=sys.stderr, flush=True))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    """Run both servers during the session."""
    with found_servers() as found:
        yield found


@pytest.fixture(scope="module")
def server_folder() -> Iterator[Path]:
    """Folder for a private PostgreSQL, which runs as another user if the tests run as root.

    It is no folder of pytest's: every start of pytest closes these to other users.
    """
    with tempfile.TemporaryDirectory(prefix="mailing-test-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> Iterator[str]:
    """Make an empty database at the current schema, and drop it afterwards."""
    with own_database(servers, "test") as url:
        migrate(SecretStr(url))
        yield url


@pytest.fixture(scope="session")
def broker_url(servers: Servers) -> str:
    """AMQP URL of the broker."""
    return servers.broker_url


@pytest.fixture
def clean_database(database_url: str) -> None:
    """Empty every table before the test."""
    empty_tables(database_url)


@pytest.fixture
async def clean_broker(broker_url: str) -> None:
    """Empty every queue before the test."""
    await empty_queues(broker_url)


@pytest.fixture
async def engine(database_url: str, clean_database: None) -> AsyncIterator[AsyncEngine]:
    """Open an engine on the clean database."""
    url = SecretStr(database_url)
    opened = open_engine(url, "tests")
    yield opened
    await opened.dispose()
