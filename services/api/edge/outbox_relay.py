"""Outbox relay: publishes the entries of the outbox as soon as they are there, while the process lives.

Several API processes may run it at the same time: each takes entries that no other has taken.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.edge import observer
from shared.broker.publisher import Publisher
from shared.database.transactions import allow_idling, transaction
from shared.errors import MailingError
from shared.ledger.outbox import take_entries
from shared.lifecycle import repeat
from shared.topology import CONTROL

BATCH = 100
# Entries of other processes, and of this one just before it died, are found by polling.
POLL = 1.0  # seconds
LAST_PASS = 3.0  # seconds
MOST_IDLE = timedelta(seconds=30)  # of the transaction, while it waits for RabbitMQ


@asynccontextmanager
async def relaying(engine: AsyncEngine, publisher: Publisher, filled: asyncio.Event) -> AsyncIterator[None]:
    """Relay while the block runs, whenever `filled` is set and every second; and a last time at its end."""
    stopping = asyncio.Event()

    async def step() -> float:
        await publisher.ping()  # connects in advance, so that the first entry does not wait for the connection
        return 0 if await relay_batch(engine, publisher) else POLL

    loop = asyncio.create_task(repeat("relay", step, stopping, filled))
    try:
        yield
    finally:
        stopping.set()
        # The last requests are answered. A pause among them should reach the senders now.
        with suppress(MailingError, TimeoutError):
            async with asyncio.timeout(LAST_PASS):
                await loop
                while await relay_batch(engine, publisher):
                    pass
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def relay_batch(engine: AsyncEngine, publisher: Publisher) -> int:
    """Publish one batch, stops before anything else; return how many entries it had.

    Raises:
        NotPublished, PublishUnknown, DatabaseUnavailable: nothing was deleted, and the entries are tried again.
    """
    async with transaction(engine) as connection:
        await allow_idling(connection, MOST_IDLE)
        publication = observer.publication_started(await take_entries(connection, BATCH))
        # All at once: an event only asks a planner to look at the database, so the order does not matter. A stop
        # may reach no sender at all. An event that no queue takes is a fault.
        results = await asyncio.gather(
            *(publisher.publish(*entry, mandatory=entry.exchange != CONTROL) for entry in publication.entries),
            return_exceptions=True,
        )
        for failure in filter(None, results):
            raise failure
    observer.publication_committed(publication)
    return len(publication.entries)
