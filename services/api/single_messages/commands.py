"""A message that is sent on its own, at once.

It gets a mailing that has started and is expanded already, so that all else happens as to any other message. That
mailing is not shown.
"""

from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import NotFound
from services.api.mailings import rules
from services.api.messages.schemas import MessageDetail
from services.api.single_messages.schemas import MessageIn
from shared.contracts import Event, EventKind, utc_now
from shared.ledger.outbox import put_event
from shared.statuses import MessageStatus
from shared.telemetry import tracing

LASTS = timedelta(hours=24)
NO_CLIENT = 0  # the client_id of a message to a number that is no client's

_CLIENT_BY_ID = text("SELECT id, number FROM clients WHERE id = :id")
_CLIENT_BY_NUMBER = text("SELECT id FROM clients WHERE number = :number")

_CREATE = text("""
    WITH mailing AS (
        INSERT INTO mailings (created_at, starts_at, started_at, expanded_at, expired_at, text, filter, express,
            number, state, audience_until, request_id, traceparent)
        VALUES (:now, :now, :now, :now, :expired_at, :text, '{}', true, :number, 'running', 0, :request_id,
            :traceparent)
        RETURNING id
    ), counted AS (
        INSERT INTO counters (mailing_id, total, new) SELECT id, 1, 1 FROM mailing
    ), job AS (
        INSERT INTO jobs (mailing_id, due_at, size, open) SELECT id, :now, 1, 1 FROM mailing
        RETURNING id, mailing_id
    )
    INSERT INTO messages (mailing_id, client_id, job_id)
    SELECT mailing_id, :client_id, id FROM job
    RETURNING id, mailing_id
""")


async def create(connection: AsyncConnection, new: MessageIn, request_id: str | None) -> MessageDetail:
    """Raises NotFound, Invalid."""
    now = utc_now()
    expired_at = new.expired_at or now + LASTS
    rules.check_end(expired_at, now)
    client_id, number = await _addressee(connection, new)
    values: dict[str, object] = {
        "now": now,
        "expired_at": expired_at,
        "text": new.text,
        "number": new.number,
        "client_id": client_id,
        "request_id": request_id,
        "traceparent": tracing.current_traceparent(),
    }
    message_id, mailing_id = (await connection.execute(_CREATE, values)).one()
    await put_event(
        connection, Event(kind=EventKind.MAILING_CREATED, mailing_id=mailing_id, request_id=request_id)
    )
    return _just_created(message_id, client_id, number, now)


async def _addressee(connection: AsyncConnection, new: MessageIn) -> tuple[int, int]:
    """The client's id, or NO_CLIENT, and the number. Raises NotFound."""
    if new.number is not None:
        found = await connection.execute(_CLIENT_BY_NUMBER, {"number": new.number})
        return found.scalar() or NO_CLIENT, new.number
    assert new.client is not None
    row = (await connection.execute(_CLIENT_BY_ID, {"id": new.client})).one_or_none()
    if row is None:
        raise NotFound("client", new.client)
    return row.id, row.number


def _just_created(message_id: int, client_id: int, number: int, now: datetime) -> MessageDetail:
    return MessageDetail(
        id=message_id,
        mailing_id=None,
        client_id=None if client_id == NO_CLIENT else client_id,
        number=number,
        status=MessageStatus.NEW,
        reason=None,
        created_at=now,
        settled_at=None,
        tries=0,
        attempts=[],
    )
