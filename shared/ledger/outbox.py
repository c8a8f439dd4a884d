"""Every statement that writes the table `outbox`: what is to be published, stored with the change that caused it.

`put_event`, `put_stop` and `put_wake` run in the transaction of the change. The API's relay takes entries and
publishes them in one transaction, so a crash in between repeats a publication and never loses one.
"""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import Event, EventKind, Stops
from shared.ledger.origin import Origin
from shared.topology import CONTROL, EVENTS, NOTIFICATIONS, WAKE

_PUT_ENTRY = text("""
    -- put_outbox_entry --
    INSERT INTO outbox (exchange, routing_key, body) VALUES (:exchange, :routing_key, :body)
""")

_TAKE_ENTRIES = """
    -- take_outbox_{name} --
    DELETE FROM outbox
    WHERE id IN (SELECT id FROM outbox WHERE {condition} ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING exchange, routing_key, body
"""
_TAKE_STOPS = text(_TAKE_ENTRIES.format(name="stops", condition=f"exchange = '{CONTROL}'"))
_TAKE_ALL = text(_TAKE_ENTRIES.format(name="entries", condition="true"))


class OutboxRow(NamedTuple):
    """An entry of the outbox: a body, and where to publish it."""

    exchange: str
    routing_key: str
    body: bytes


async def put_event(connection: AsyncConnection, kind: EventKind, mailing_id: int, origin: Origin) -> None:
    """Store an event of a mailing for the planners."""
    event = Event(kind=kind, mailing_id=mailing_id, request_id=origin.request_id, traceparent=origin.traceparent)
    await _put(connection, OutboxRow(EVENTS, event.kind, event.model_dump_json().encode()))


async def put_stop(connection: AsyncConnection, mailing_id: int, revision: int) -> None:
    """Store a stop for every sender: no job of the mailing with a lower revision may be sent."""
    stops = Stops(revisions={mailing_id: revision})
    await _put(connection, OutboxRow(CONTROL, "", stops.model_dump_json().encode()))


async def put_epoch(connection: AsyncConnection, epoch: int) -> None:
    """Store for every sender that jobs of earlier epochs may not be sent."""
    await _put(connection, OutboxRow(CONTROL, "", Stops(revisions={}, epoch=epoch).model_dump_json().encode()))


async def put_wake(connection: AsyncConnection) -> None:
    """Store a wake-up for a notifier: there are deliveries to make. A lost one delays them by a moment."""
    await _put(connection, OutboxRow(NOTIFICATIONS, WAKE, b"{}"))


async def _put(connection: AsyncConnection, entry: OutboxRow) -> None:
    await connection.execute(_PUT_ENTRY, entry._asdict())


async def take_entries(connection: AsyncConnection, limit: int) -> list[OutboxRow]:
    """Delete and return up to `limit` entries that no other transaction has taken.

    As long as there are stops, it returns only stops, because a stop must not wait behind events.
    """
    for statement in (_TAKE_STOPS, _TAKE_ALL):
        rows = (await connection.execute(statement, {"limit": limit})).all()
        if rows:
            return [OutboxRow(row.exchange, row.routing_key, bytes(row.body)) for row in rows]
    return []
