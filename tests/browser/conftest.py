"""Fixtures of the tests in a browser."""

import sys
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Browser, Page

from tests.browser.browsing import Faults, prepare_browser, running_browser, visiting
from tests.browser.site import Site, running_site
from tests.sandbox import Sandbox
from tests.servers import Servers, empty_queues, empty_tables


def pytest_collection_finish(session: pytest.Session) -> None:
    """Get a browser, if a test needs one."""
    if session.items and not session.config.option.collectonly:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        with capture.global_and_fixture_disabled():
            prepare_browser(lambda line: print(line, file=sys.stderr, flush=True))


@pytest.fixture(scope="session")
async def browser() -> AsyncIterator[Browser]:
    """One browser for all tests."""
    async with running_browser() as running:
        yield running


@pytest.fixture(scope="module")
async def shared_site(
    database_url: str, broker_url: str, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """One system for all tests of a module."""
    empty_tables(database_url)
    await empty_queues(broker_url)
    await sandbox.reset()
    async with running_site(
        Servers(database_url, broker_url), sandbox, tmp_path_factory.mktemp("site")
    ) as running:
        yield running


@pytest.fixture
async def site(shared_site: Site) -> AsyncIterator[Site]:
    """The shared system with a provider that behaves. Each test has clients with a tag of its own."""
    await shared_site.sandbox.reset()
    yield shared_site
    await shared_site.sandbox.reset()


@pytest.fixture
def faults() -> Faults:
    """Collect complaints of the browser during the test."""
    return Faults()


@pytest.fixture
async def page(browser: Browser, site: Site, faults: Faults) -> AsyncIterator[Page]:
    """A page of an operator who reads English. Complaints of the browser fail the test."""
    async with visiting(browser, site.url, site.token, faults) as context:
        yield await context.new_page()
    assert not faults.policy
    assert not faults.console
