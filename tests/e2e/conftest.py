"""Fixtures of the end-to-end tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.system import System, running_system
from tests.sandbox import Sandbox
from tests.servers import Servers


@pytest.fixture
def own_servers(database_url: str, broker_url: str, clean_database: None, clean_broker: None) -> Servers:
    """The servers as the services are told of them: with the tests' own, clean database."""
    return Servers(database_url, broker_url)


@pytest.fixture
async def system(own_servers: Servers, sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[System]:
    """An API, a planner and two senders with retries that do not take minutes."""
    await sandbox.reset()
    async with running_system(own_servers, sandbox, tmp_path, MAILING_BACKOFF_FIRST="1") as running:
        yield running
    await sandbox.reset()
