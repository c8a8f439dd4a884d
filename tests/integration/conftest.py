"""Fixtures of the integration tests."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import structlog
from pydantic import SecretStr
from structlog.testing import LogCapture

from services.planner.settings import PlannerSettings
from tests.integration.api_client import NOWHERE, api_on


@pytest.fixture
def chunk_size() -> int:
    """Messages in a job; a module that needs another number overrides this."""
    return 10


@pytest.fixture
def settings(database_url: str, broker_url: str, chunk_size: int) -> PlannerSettings:
    """Settings of a planner on the servers of the session."""
    return PlannerSettings(
        database_url=SecretStr(database_url), broker_url=SecretStr(broker_url), chunk_size=chunk_size
    )


@pytest.fixture
async def api(database_url: str, clean_database: None) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url, f"amqp://{NOWHERE}/") as client:
        yield client


@pytest.fixture
def lines() -> Iterator[LogCapture]:
    """Capture the log lines of the test."""
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, capture], cache_logger_on_first_use=False
    )
    yield capture
    structlog.configure(**before)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The event loop of production, where there is one."""
    if sys.platform == "win32":
        return {"asyncio": asyncio.SelectorEventLoop}
    import uvloop

    return {"uvloop": uvloop.new_event_loop}
