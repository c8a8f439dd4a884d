"""Every statement that writes the table `deliveries`: events on their way to webhooks.

`put_…` runs in the transaction of the change that the event is about. It writes a delivery for each webhook that
wants the event, and nothing if there is none. If it wrote something, the outbox wakes a notifier.

The open deliveries of one webhook and one mailing are a *lane*: they are made in order, by one notifier at a time.
A notifier claims a lane by a lease on its first delivery, and moves the lease to the next one when that is done.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.outbox import put_wake
from shared.statuses import MessageStatus, Reason
from shared.webhook_events import WebhookEvent

MESSAGES_IN_EVENT = 1000

# The part of a statement that is true if some webhook wants to know of settled messages.
SETTLED_IS_WANTED = """EXISTS (
        SELECT FROM webhooks WHERE disabled_at IS NULL AND 'message.settled' = ANY(events)
    )"""

_PUT_MAILING_EVENTS = text(f"""
    -- put_mailing_events --
    WITH wanted AS (
        SELECT id FROM webhooks WHERE disabled_at IS NULL AND :kind = ANY(events)
    ), events AS MATERIALIZED (
        SELECT mailings.id AS mailing_id, gen_random_uuid() AS event_id, jsonb_build_object(
            'type', CAST(:kind AS text), 'timestamp', now(), 'data', jsonb_build_object(
                'mailing_id', mailings.id, 'state', state, 'paused', paused_at IS NOT NULL,
                'starts_at', starts_at, 'expired_at', expired_at, 'messages', jsonb_build_object(
                    'total', total, {", ".join(f"'{name}', {name}" for name in MessageStatus)}
                )
            )
        ) AS body
        FROM mailings JOIN counters ON counters.mailing_id = mailings.id
        WHERE mailings.id = ANY(CAST(:mailing_ids AS bigint[])) AND NOT express AND EXISTS (SELECT FROM wanted)
    )
    INSERT INTO deliveries (webhook_id, event_id, kind, mailing_id, body)
    SELECT wanted.id, event_id, :kind, mailing_id, body::text FROM events CROSS JOIN wanted
    ORDER BY mailing_id
""")  # noqa: S608 - the names are ours

_PUT_SETTLED_MESSAGES = text("""
    -- put_settled_messages --
    WITH given AS (
        SELECT * FROM unnest(
            CAST(:mailing_ids AS bigint[]), CAST(:ids AS bigint[]), CAST(:client_ids AS bigint[]),
            CAST(:statuses AS text[]), CAST(:reasons AS text[])
        ) AS given(mailing_id, id, client_id, status, reason)
    ), sorted AS (
        SELECT given.*, CASE WHEN express THEN 0 ELSE mailing_id END AS lane
        FROM given JOIN mailings ON mailings.id = mailing_id
    ), numbered AS (
        SELECT *, (row_number() OVER (PARTITION BY lane ORDER BY id) - 1) / :most AS part FROM sorted
    ), events AS MATERIALIZED (
        SELECT lane, part, gen_random_uuid() AS event_id, jsonb_build_object(
            'type', 'message.settled', 'timestamp', now(), 'data', jsonb_build_object(
                'mailing_id', nullif(lane, 0), 'messages', jsonb_agg(jsonb_build_object(
                    'id', id, 'client_id', nullif(client_id, 0), 'status', status, 'reason', reason
                ) ORDER BY id)
            )
        ) AS body
        FROM numbered GROUP BY lane, part
    )
    INSERT INTO deliveries (webhook_id, event_id, kind, mailing_id, body)
    SELECT webhooks.id, event_id, 'message.settled', lane, body::text
    FROM events JOIN webhooks ON disabled_at IS NULL AND 'message.settled' = ANY(webhooks.events)
        AND (lane = 0 OR webhooks.messages = 'all')
    ORDER BY lane, part
""")

_PUT_EVENT = text("""
    -- put_webhook_event --
    INSERT INTO deliveries (webhook_id, event_id, kind, mailing_id, body)
    SELECT id, event_id, :kind, :mailing_id, :body
    FROM webhooks CROSS JOIN (SELECT gen_random_uuid() AS event_id) AS event
    WHERE disabled_at IS NULL AND :kind = ANY(events)
""")

_PUT_TEST = text("""
    -- put_webhook_test --
    INSERT INTO deliveries (webhook_id, event_id, kind, mailing_id, body)
    VALUES (:webhook_id, gen_random_uuid(), :kind, 0, :body) RETURNING id
""")

_SEND_AGAIN = text("""
    -- send_delivery_again --
    INSERT INTO deliveries (webhook_id, event_id, kind, mailing_id, body)
    SELECT webhook_id, event_id, kind, mailing_id, body FROM deliveries
    WHERE id = :delivery_id AND webhook_id = :webhook_id RETURNING id
""")

# The first open delivery of every lane, by one step in the index for each lane.
_DUE_LANES = text("""
    -- lock_due_lanes --
    WITH RECURSIVE heads AS (
        (
            SELECT webhook_id, mailing_id, id FROM deliveries WHERE delivered_at IS NULL
            ORDER BY webhook_id, mailing_id, id LIMIT 1
        )
        UNION ALL
        SELECT next.* FROM heads CROSS JOIN LATERAL (
            SELECT webhook_id, mailing_id, id FROM deliveries
            WHERE delivered_at IS NULL AND (webhook_id, mailing_id) > (heads.webhook_id, heads.mailing_id)
            ORDER BY webhook_id, mailing_id, id LIMIT 1
        ) AS next
    )
    SELECT d.id, d.webhook_id, d.mailing_id, url, secret,
        CASE WHEN previous_until > :now THEN previous_secret END AS previous_secret
    FROM deliveries AS d JOIN heads ON heads.id = d.id JOIN webhooks ON webhooks.id = d.webhook_id
    WHERE d.delivered_at IS NULL AND d.next_at <= :now AND (d.lease_until IS NULL OR d.lease_until <= :now)
      AND disabled_at IS NULL AND d.webhook_id <> ALL(CAST(:busy AS bigint[]))
    ORDER BY d.next_at, d.id LIMIT :limit FOR UPDATE OF d SKIP LOCKED
""")

_LEASE_DELIVERIES = text("""
    -- lease_deliveries --
    UPDATE deliveries SET lease_until = :lease_until WHERE id = ANY(CAST(:ids AS bigint[]))
""")

_LANE = text("""
    SELECT id, event_id, kind, body, tries FROM deliveries
    WHERE webhook_id = :webhook_id AND mailing_id = :mailing_id AND delivered_at IS NULL
    ORDER BY id LIMIT :limit
""")

_RECORD_DELIVERED = text("""
    -- record_delivered --
    UPDATE deliveries SET delivered_at = :now, lease_until = NULL, tries = tries + 1, tried_at = :now,
        status = :status, error = NULL, duration_ms = :duration_ms
    WHERE id = :delivery_id AND delivered_at IS NULL
""")

_RECORD_NOT_DELIVERED = text("""
    -- record_not_delivered --
    UPDATE deliveries SET lease_until = NULL, next_at = :next_at, tries = tries + 1, tried_at = :now,
        status = :status, error = :error, duration_ms = :duration_ms
    WHERE id = :delivery_id AND delivered_at IS NULL
""")

_DUE_NOW = text("""
    -- make_deliveries_due --
    UPDATE deliveries SET next_at = :now WHERE webhook_id = :webhook_id AND delivered_at IS NULL
""")

_DELETE_OLD_DELIVERIES = text("""
    -- delete_old_deliveries --
    DELETE FROM deliveries WHERE id IN (
        SELECT id FROM deliveries
        WHERE created_at < :before AND (delivered_at IS NOT NULL OR created_at < :open_before)
        ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")


class SettledMessage(NamedTuple):
    """A message that got its final status. `client_id` is 0 for a number that is no client's."""

    mailing_id: int
    id: int
    client_id: int
    status: MessageStatus
    reason: Reason | None


@dataclass(frozen=True, slots=True)
class ClaimedLane:
    """Open deliveries of one webhook and mailing that this process makes, from `first_id` on.

    `secrets` are those by which each delivery is signed.
    """

    first_id: int
    webhook_id: int
    mailing_id: int
    url: str
    secrets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """An event to POST. `tries` were made before."""

    id: int
    event_id: UUID
    kind: str
    body: str
    tries: int


@dataclass(frozen=True, slots=True)
class DeliveryTry:
    """Answer to one POST, or the error because of which there was none."""

    status: int | None
    error: str | None
    duration_ms: int


async def put_mailing_events(connection: AsyncConnection, kind: WebhookEvent, mailing_ids: Sequence[int]) -> None:
    """Write the event of each mailing for the webhooks that want it. Mailings of single messages have none."""
    if mailing_ids:
        parameters = {"kind": kind.value, "mailing_ids": list(mailing_ids)}
        await _put(connection, _PUT_MAILING_EVENTS, parameters)


async def put_settled_messages(connection: AsyncConnection, messages: Iterable[SettledMessage]) -> None:
    """Write events of messages that got their final status, up to MESSAGES_IN_EVENT in one."""
    mailing_ids, ids, client_ids, statuses, reasons = zip(*messages, strict=True)
    parameters = {
        "mailing_ids": list(mailing_ids),
        "ids": list(ids),
        "client_ids": list(client_ids),
        "statuses": [status.value for status in statuses],
        "reasons": [reason and reason.value for reason in reasons],
        "most": MESSAGES_IN_EVENT,
    }
    await _put(connection, _PUT_SETTLED_MESSAGES, parameters)


async def put_webhook_event(
    connection: AsyncConnection, kind: WebhookEvent, data: dict[str, object], now: datetime, mailing_id: int = 0
) -> None:
    """Write any other event for the webhooks that want it."""
    parameters = {"kind": kind.value, "mailing_id": mailing_id, "body": _body(kind, data, now)}
    await _put(connection, _PUT_EVENT, parameters)


async def put_webhook_test(connection: AsyncConnection, webhook_id: int, now: datetime) -> int:
    """Write a test for one webhook, and return the id of its delivery."""
    body = _body(WebhookEvent.TEST, {"webhook_id": webhook_id}, now)
    parameters = {"webhook_id": webhook_id, "kind": WebhookEvent.TEST.value, "body": body}
    delivery_id: int = (await connection.execute(_PUT_TEST, parameters)).scalar_one()
    await put_wake(connection)
    return delivery_id


async def send_delivery_again(connection: AsyncConnection, webhook_id: int, delivery_id: int) -> int | None:
    """Write the event of a delivery once more, and return the new delivery; None if there is none such."""
    parameters = {"delivery_id": delivery_id, "webhook_id": webhook_id}
    again: int | None = (await connection.execute(_SEND_AGAIN, parameters)).scalar_one_or_none()
    if again is not None:
        await put_wake(connection)
    return again


async def lock_due_lanes(
    connection: AsyncConnection, now: datetime, busy: Sequence[int], limit: int
) -> list[ClaimedLane]:
    """Lock the first deliveries of up to `limit` lanes that are due, except those of `busy` webhooks.

    `lease_deliveries` claims some of them, in the same transaction.
    """
    rows = await connection.execute(_DUE_LANES, {"now": now, "busy": list(busy), "limit": limit})
    return [
        ClaimedLane(
            first_id=row.id,
            webhook_id=row.webhook_id,
            mailing_id=row.mailing_id,
            url=row.url,
            secrets=tuple(bytes(secret) for secret in (row.secret, row.previous_secret) if secret is not None),
        )
        for row in rows
    ]


async def lease_deliveries(connection: AsyncConnection, ids: Sequence[int], lease_until: datetime) -> None:
    """Claim lanes by their first deliveries."""
    await connection.execute(_LEASE_DELIVERIES, {"ids": list(ids), "lease_until": lease_until})


async def find_lane(connection: AsyncConnection, lane: ClaimedLane, limit: int) -> list[OpenDelivery]:
    """Return the first open deliveries of a lane."""
    parameters = {"webhook_id": lane.webhook_id, "mailing_id": lane.mailing_id, "limit": limit}
    return [OpenDelivery(**row._mapping) for row in await connection.execute(_LANE, parameters)]


async def record_delivered(
    connection: AsyncConnection, delivery_id: int, made: DeliveryTry, now: datetime
) -> None:
    """Note that the receiver has accepted the event."""
    parameters = {
        "delivery_id": delivery_id,
        "status": made.status,
        "duration_ms": made.duration_ms,
        "now": now,
    }
    await connection.execute(_RECORD_DELIVERED, parameters)


async def record_not_delivered(
    connection: AsyncConnection, delivery_id: int, made: DeliveryTry, next_at: datetime, now: datetime
) -> None:
    """Note why the receiver has not accepted the event, and when it is tried again."""
    parameters = {
        "delivery_id": delivery_id,
        "status": made.status,
        "error": made.error,
        "duration_ms": made.duration_ms,
        "next_at": next_at,
        "now": now,
    }
    await connection.execute(_RECORD_NOT_DELIVERED, parameters)


async def make_deliveries_due(connection: AsyncConnection, webhook_id: int, now: datetime) -> None:
    """Let the open deliveries of a webhook be tried at once."""
    await connection.execute(_DUE_NOW, {"webhook_id": webhook_id, "now": now})
    await put_wake(connection)


async def delete_old_deliveries(
    connection: AsyncConnection, before: datetime, open_before: datetime, limit: int
) -> int:
    """Delete up to `limit` deliveries older than `before`, and open ones if older than `open_before`."""
    parameters = {"before": before, "open_before": open_before, "limit": limit}
    return (await connection.execute(_DELETE_OLD_DELIVERIES, parameters)).rowcount


async def _put(connection: AsyncConnection, statement: TextClause, parameters: Mapping[str, object]) -> None:
    written = await connection.execute(statement, parameters)
    if written.rowcount:
        await put_wake(connection)


def _instant(now: datetime) -> str:
    return now.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _body(kind: WebhookEvent, data: dict[str, object], now: datetime) -> str:
    return orjson.dumps({"type": kind.value, "timestamp": _instant(now), "data": data}).decode()
