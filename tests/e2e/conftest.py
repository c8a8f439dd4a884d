"""Fixtures of the end-to-end tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.system import Environment, System, running_system
from tests.sandbox import Sandbox
from tests.servers import Servers, empty_queues, empty_tables

# Above the limits of `until` on a machine that is busy: these end a test with the condition that it waits for.
TIMEOUT = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder more time than others."""
    for item in items:
        if Path(__file__).parent in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


# Backoff of seconds instead of minutes.
QUICK: Environment = {"MAILING_BACKOFF_FIRST": "1", "MAILING_BACKOFF_MOST": "2"}


@pytest.fixture
async def own_servers(database_url: str, broker_url: str, sandbox: Sandbox) -> Servers:
    """Empty servers and a normal provider, for a system that the test starts.

    A module that uses the shared system must not use this: the two systems would take each other's jobs.
    """
    empty_tables(database_url)
    await empty_queues(broker_url)
    await sandbox.reset()
    return Servers(database_url, broker_url)


@pytest.fixture(scope="module")
async def shared_system(
    database_url: str, broker_url: str, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[System]:
    """System for all tests of a module; they must not break it."""
    empty_tables(database_url)
    await empty_queues(broker_url)
    servers, logs = Servers(database_url, broker_url), tmp_path_factory.mktemp("system")
    async with running_system(servers, sandbox, logs, environment=QUICK) as running:
        yield running


@pytest.fixture
async def system(shared_system: System, sandbox: Sandbox) -> AsyncIterator[System]:
    """Shared system with a normal provider that has received nothing."""
    await sandbox.reset()
    yield shared_system
    await sandbox.reset()
