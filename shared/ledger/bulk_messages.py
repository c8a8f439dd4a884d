"""Statements that create the messages and jobs of a batch of clients, and that put messages back for a retry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.dealing import ZonePlan, deal_into_jobs, plan_parameters
from shared.statuses import MessageStatus, Reason

Filter = Mapping[str, Sequence[int] | Sequence[str]]

_AUDIENCE = """
    SELECT id, {zone} AS zone FROM clients
    WHERE id > :after AND id <= :until {conditions}
    ORDER BY id LIMIT :limit
"""

_CONDITIONS = {
    "code": "AND code = ANY(CAST(:code AS smallint[]))",
    "tag": "AND tag = ANY(CAST(:tag AS text[]))",
    "zone": "AND zone = ANY(CAST(:zone AS text[]))",
}

_ZONES_OF_AUDIENCE = """
    -- zones_of_audience --
    SELECT DISTINCT zone FROM ({audience}) AS audience
"""

_EXPAND_AUDIENCE = """
    -- expand_audience --
    WITH {dealt}, written AS (
        INSERT INTO messages (mailing_id, client_id, job_id)
        SELECT :mailing_id, batch.id, numbered.id
        FROM batch JOIN numbered USING (chunk) ORDER BY batch.id
        RETURNING client_id
    )
    SELECT count(*) AS messages, coalesce(max(client_id), 0) AS last_client_id FROM written
"""

_TO_RETRY = """
    SELECT m.id, m.client_id, m.status, m.reason, CASE WHEN :by_zone THEN coalesce(c.zone, '') ELSE '' END AS zone
    FROM messages AS m LEFT JOIN clients AS c ON c.id = m.client_id
    WHERE m.mailing_id = :mailing_id AND m.client_id > :after
      AND m.status = ANY(CAST(:statuses AS message_status[])) AND m.settled_at <= :settled_until
    ORDER BY m.client_id LIMIT :limit
"""

_ZONES_TO_RETRY = text(f"""
    -- zones_to_retry --
    SELECT DISTINCT zone FROM ({_TO_RETRY}) AS to_retry WHERE zone <> ''
""")  # noqa: S608 - both parts are ours

# `tries` above 0 says that the message has attempts from before.
_PUT_BACK_MESSAGES = text(f"""
    -- put_back_messages --
    WITH {deal_into_jobs(_TO_RETRY, order="client_id")}, put_back AS (
        UPDATE messages SET status = 'new', reason = 'none', settled_at = NULL, duration_ms = NULL,
            tries = greatest(tries, 1), job_id = numbered.id
        FROM batch JOIN numbered USING (chunk)
        WHERE messages.id = batch.id
        RETURNING batch.status, batch.reason, messages.client_id
    )
    SELECT status, nullif(reason, 'none') AS reason, count(*) AS messages, max(client_id) AS last_client_id
    FROM put_back GROUP BY status, reason
""")  # noqa: S608 - both parts are ours


# PostgreSQL can only guess how many rows there are between the parts of such a statement, and on a young database
# it guesses few: a nested loop then takes many times as long.
_WITHOUT_NESTED_LOOPS = text("SET LOCAL enable_nestloop = off")


@dataclass(frozen=True, slots=True)
class AudienceBatch:
    """The next clients of a mailing's audience: up to `limit`, with ids above `after` and up to `until`."""

    mailing_id: int
    filter: Filter
    after: int
    until: int
    limit: int
    by_zone: bool  # True if the mailing has a local window


@dataclass(frozen=True, slots=True)
class RetryBatch:
    """The next messages of a mailing to try again: up to `limit`, of clients with ids above `after`.

    They are in one of the `statuses`, and have been since `settled_until` or earlier.
    """

    mailing_id: int
    statuses: Sequence[str]
    settled_until: datetime | None
    after: int
    limit: int
    by_zone: bool  # True if the mailing has a local window


class ExpandedBatch(NamedTuple):
    """Number of messages created, and the highest client id among them; 0 if there are none."""

    messages: int
    last_client_id: int


class PutBackMessages(NamedTuple):
    """Messages that left one status with one reason, and the highest client id among them."""

    status: MessageStatus
    reason: Reason | None
    messages: int
    last_client_id: int


async def prepare_expansion(connection: AsyncConnection) -> None:
    """Let PostgreSQL choose the right plans for `expand_audience` in this transaction."""
    await connection.execute(_WITHOUT_NESTED_LOOPS)


async def zones_of_audience(connection: AsyncConnection, batch: AudienceBatch) -> list[str]:
    """Return the different time zones of the clients in the batch."""
    statement = text(_ZONES_OF_AUDIENCE.format(audience=_audience(batch)))
    return list((await connection.execute(statement, _audience_parameters(batch))).scalars())


async def expand_audience(
    connection: AsyncConnection, batch: AudienceBatch, plans: Sequence[ZonePlan], chunk: int, now: datetime
) -> ExpandedBatch:
    """Create a message for each client of the batch, and jobs of up to `chunk` messages for them.

    The caller moves the counters.
    """
    statement = text(_EXPAND_AUDIENCE.format(dealt=deal_into_jobs(_audience(batch), order="id")))
    parameters = _audience_parameters(batch) | plan_parameters(plans)
    result = await connection.execute(
        statement, {**parameters, "mailing_id": batch.mailing_id, "chunk": chunk, "now": now}
    )
    row = result.one()
    return ExpandedBatch(row.messages, row.last_client_id)


async def zones_to_retry(connection: AsyncConnection, batch: RetryBatch) -> list[str]:
    """Return the different time zones of the clients whose messages are in the batch."""
    return list((await connection.execute(_ZONES_TO_RETRY, _retry_parameters(batch))).scalars())


async def put_back_messages(
    connection: AsyncConnection, batch: RetryBatch, plans: Sequence[ZonePlan], chunk: int, now: datetime
) -> list[PutBackMessages]:
    """Make the batch's messages new again, in jobs of up to `chunk` messages. The caller moves the counters."""
    parameters = _retry_parameters(batch) | plan_parameters(plans) | {"chunk": chunk, "now": now}
    rows = await connection.execute(_PUT_BACK_MESSAGES, parameters)
    return [
        PutBackMessages(
            MessageStatus(row.status), row.reason and Reason(row.reason), row.messages, row.last_client_id
        )
        for row in rows
    ]


def _audience(batch: AudienceBatch) -> str:
    conditions = [condition for field, condition in _CONDITIONS.items() if batch.filter.get(field)]
    return _AUDIENCE.format(zone="zone" if batch.by_zone else "''", conditions=" ".join(conditions))


def _audience_parameters(batch: AudienceBatch) -> dict[str, object]:
    fields = {field: batch.filter[field] for field in _CONDITIONS if batch.filter.get(field)}
    return {"after": batch.after, "until": batch.until, "limit": batch.limit, **fields}


def _retry_parameters(batch: RetryBatch) -> dict[str, object]:
    return {
        "mailing_id": batch.mailing_id,
        "statuses": list(batch.statuses),
        "settled_until": batch.settled_until,
        "after": batch.after,
        "limit": batch.limit,
        "by_zone": batch.by_zone,
    }
