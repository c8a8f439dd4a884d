"""Outbox relay: publishes the entries of the outbox as soon as they are there, while the process lives.

Several API processes may run it at the same time: each takes entries that no other has taken.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.edge.metrics import PUBLISHED
from shared.broker.publisher import Publisher
from shared.contracts import EVENT
from shared.database.transactions import transaction
from shared.errors import MailingError
from shared.ledger.outbox import OutboxRow, take_entries
from shared.lifecycle import repeat
from shared.telemetry import tracing
from shared.topology import CONTROL, EVENTS

BATCH = 100
# Entries of other processes, and of this one just before it died, are found by polling.
POLL = 1.0  # seconds
LAST_PASS = 3.0  # seconds


@asynccontextmanager
async def relaying(engine: AsyncEngine, publisher: Publisher, filled: asyncio.Event) -> AsyncIterator[None]:
    """Relay while the block runs, whenever `filled` is set and every second; and a last time at its end."""
    stopping = asyncio.Event()

    async def step() -> float:
        await (
            publisher.ping()
        )  # connects before there is anything to publish, so that the first entry does not wait
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
        entries = await take_entries(connection, BATCH)
        spans: list[tracing.Span] = []
        if tracing.is_enabled():
            entries = [_start_span(entry, spans) for entry in entries]
        # All at once: an event only asks a planner to look at the database, so the order does not matter. A stop
        # may reach no sender at all. An event that no queue takes is a fault.
        results = await asyncio.gather(
            *(publisher.publish(*entry, mandatory=entry.exchange != CONTROL) for entry in entries),
            return_exceptions=True,
        )
        for failure in filter(None, results):
            raise failure
    PUBLISHED.inc(len(entries))
    for span in spans:
        tracing.end_span(span)
    return len(entries)


def _start_span(entry: OutboxRow, spans: list[tracing.Span]) -> OutboxRow:
    """Start the span of an event's publication, if the event is traced, and let the event continue it."""
    if entry.exchange != EVENTS:
        return entry
    try:
        event = EVENT.validate_json(entry.body)
    except ValidationError:  # of another version: it is published, but not traced
        return entry
    attributes: tracing.Attributes = {"event": event.kind, "mailing_id": event.mailing_id}
    span = tracing.start_span(f"publish {EVENTS}", event.traceparent, kind="producer", attributes=attributes)
    if span is None:
        return entry
    spans.append(span)
    carried = event.model_copy(update={"traceparent": span.traceparent})
    return entry._replace(body=carried.model_dump_json().encode())
