"""The outbox: what RabbitMQ is owed, kept in the transaction of the change that it tells of.

`put` is called inside that transaction. `relay` publishes what is there and deletes it in one
transaction, so that a crash in between repeats a publication and never loses one.
"""

import asyncio
import time

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.broker.publisher import Publisher
from shared.contracts import EVENT, Event, Stops
from shared.database.transactions import transaction
from shared.telemetry import tracing
from shared.topology import CONTROL, EVENTS

log = structlog.get_logger()

BATCH = 100
FIRST = f"exchange = '{CONTROL}'"  # a stop waits behind no event

_PUT = text("INSERT INTO outbox (exchange, routing_key, body) VALUES (:exchange, :routing_key, :body)")

_TAKE_IF = """
    DELETE FROM outbox
    WHERE id IN (SELECT id FROM outbox WHERE {condition} ORDER BY id LIMIT :batch FOR UPDATE SKIP LOCKED)
    RETURNING exchange, routing_key, body
"""
_TAKE_STOPS = text(_TAKE_IF.format(condition=FIRST))
_TAKE = text(_TAKE_IF.format(condition="true"))


async def put_event(connection: AsyncConnection, event: Event) -> None:
    """Owes the planners an event."""
    await _put(connection, EVENTS, event.kind, event.model_dump_json().encode())


async def put_stop(connection: AsyncConnection, mailing_id: int, revision: int) -> None:
    """Owes every sender a stop: nothing of the mailing that was released below this revision may be sent."""
    await _put(connection, CONTROL, "", Stops(revisions={mailing_id: revision}).model_dump_json().encode())


async def _put(connection: AsyncConnection, exchange: str, routing_key: str, body: bytes) -> None:
    await connection.execute(_PUT, {"exchange": exchange, "routing_key": routing_key, "body": body})


async def relay(engine: AsyncEngine, publisher: Publisher) -> int:
    """Publishes one batch, stops before anything else; returns how many went out.

    Raises:
        NotPublished, PublishUnknown, DatabaseUnavailable: nothing was deleted; the entries are tried again.
    """
    began = time.time()
    async with transaction(engine) as connection:
        entries = (await connection.execute(_TAKE_STOPS, {"batch": BATCH})).all()
        entries = entries or (await connection.execute(_TAKE, {"batch": BATCH})).all()
        # All at once: none says more than "look", so their order does not matter.
        # A stop with no sender to hear it is done with; an event that no queue takes is a fault.
        ends = await asyncio.gather(
            *(publisher.publish(*entry, mandatory=entry.exchange != CONTROL) for entry in entries),
            return_exceptions=True,
        )
        for failure in filter(None, ends):
            raise failure
    if tracing.is_enabled():
        for body in [body for exchange, _, body in entries if exchange == EVENTS]:
            _trace(EVENT.validate_json(body), began)
    return len(entries)


def _trace(event: Event, began: float) -> None:
    tracing.tell(
        f"publish {EVENTS}",
        event.request_id,
        began,
        kind="producer",
        key=tracing.OUTBOX,
        under=tracing.REQUEST,
        attributes={"event": event.kind, "mailing_id": event.mailing_id},
    )
