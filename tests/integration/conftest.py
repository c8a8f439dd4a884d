"""What the tests of the API have in common."""

from collections.abc import AsyncIterator

import httpx
import pytest

from tests.integration.calling import NOWHERE, api_on


@pytest.fixture
async def api(database_url: str, clean_database: None) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(database_url, f"amqp://{NOWHERE}/") as client:
        yield client
