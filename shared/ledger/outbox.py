"""The outbox: what RabbitMQ is owed, kept in the transaction of the change that it tells of.

`put` is called inside that transaction. `relay` publishes what is there and deletes it in one
transaction, so that a crash in between repeats a publication and never loses one.
"""

import asyncio
from typing import NamedTuple

import structlog
from pydantic import ValidationError
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


class _Entry(NamedTuple):
    exchange: str
    routing_key: str
    body: bytes


async def put_event(connection: AsyncConnection, event: Event) -> None:
    """Owes the planners an event. It continues the trace of the request."""
    if (traceparent := tracing.current_traceparent()) is not None:
        event = event.model_copy(update={"traceparent": traceparent})
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
    async with transaction(engine) as connection:
        rows = (await connection.execute(_TAKE_STOPS, {"batch": BATCH})).all()
        rows = rows or (await connection.execute(_TAKE, {"batch": BATCH})).all()
        entries = [_Entry(*row) for row in rows]
        spans: list[tracing.Span] = []
        if tracing.is_enabled():
            entries = [_start_span(entry, spans) for entry in entries]
        # All at once: none says more than "look", so their order does not matter.
        # A stop with no sender to hear it is done with; an event that no queue takes is a fault.
        ends = await asyncio.gather(
            *(publisher.publish(*entry, mandatory=entry.exchange != CONTROL) for entry in entries),
            return_exceptions=True,
        )
        for failure in filter(None, ends):
            raise failure
    for span in spans:
        tracing.end_span(span)
    return len(entries)


def _start_span(entry: _Entry, spans: list[tracing.Span]) -> _Entry:
    """Start the span of an event's publication, if the event is traced, and let the event carry it on."""
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
