"""Statement that creates a single message.

A single message gets a mailing of its own that has started and is expanded already. So the planner treats it like
any other message. The API does not show this mailing.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.origin import Origin
from shared.stop_list import MailingKind

NO_CLIENT = 0  # the client_id of a message to a number that no client has

_CREATE_SINGLE_MESSAGE = text("""
    -- create_single_message --
    WITH mailing AS (
        INSERT INTO mailings (created_at, starts_at, started_at, expanded_at, expired_at, text, filter, express,
            kind, number, test_of, state, audience_until, request_id, traceparent)
        VALUES (:now, :now, :now, :now, :expired_at, :text, '{}', true,
            CAST(:kind AS mailing_kind), :number, :test_of, 'running', 0, :request_id,
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


@dataclass(frozen=True, slots=True)
class NewSingleMessage:
    """Columns of a single message. `number` is None if the message goes to whatever number the client has.

    `test_of` is the mailing whose text it shows, if it is a test.
    """

    client_id: int
    number: int | None
    text: str
    expired_at: datetime
    kind: MailingKind
    origin: Origin
    test_of: int | None = None


class CreatedSingleMessage(NamedTuple):
    """Ids of a new single message and of its mailing."""

    id: int
    mailing_id: int


async def create_single_message(
    connection: AsyncConnection, message: NewSingleMessage, now: datetime
) -> CreatedSingleMessage:
    """Create a message that is due now, with its mailing, counters and job."""
    values = {
        "now": now,
        "expired_at": message.expired_at,
        "text": message.text,
        "kind": message.kind.value,
        "number": message.number,
        "test_of": message.test_of,
        "client_id": message.client_id,
        "request_id": message.origin.request_id,
        "traceparent": message.origin.traceparent,
    }
    row = (await connection.execute(_CREATE_SINGLE_MESSAGE, values)).one()
    return CreatedSingleMessage(row.id, row.mailing_id)
