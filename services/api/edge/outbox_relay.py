"""The outbox relay: publishes what RabbitMQ is owed, as soon as it is owed, for as long as the process lives.

Several replicas may run it side by side: each takes what no other has taken.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.edge.metrics import PUBLISHED
from shared.broker.publisher import Publisher
from shared.errors import MailingError
from shared.ledger.outbox import relay
from shared.lifecycle import repeat

log = structlog.get_logger()

# What another process put there, or this one just before it died, is found by looking.
POLL = 1.0  # seconds
LAST_PASS = 3.0


@asynccontextmanager
async def relaying(engine: AsyncEngine, publisher: Publisher, filled: asyncio.Event) -> AsyncIterator[None]:
    """Relays while the block runs, whenever `filled` is set and every second; and a last time at its end."""
    stopping = asyncio.Event()

    async def step() -> float:
        await publisher.ping()  # connects before there is anything to publish, so that the first does not wait
        published = await relay(engine, publisher)
        PUBLISHED.inc(published)
        return 0 if published else POLL

    loop = asyncio.create_task(repeat("relay", step, stopping, filled))
    try:
        yield
    finally:
        stopping.set()
        # The answers to the last requests are out: a pause among them should reach the senders now.
        with suppress(MailingError, TimeoutError):
            async with asyncio.timeout(LAST_PASS):
                await loop
                while published := await relay(engine, publisher):
                    PUBLISHED.inc(published)
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
