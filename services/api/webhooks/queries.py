"""Reads of webhooks and their deliveries."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.webhooks import WEBHOOK_COLUMNS, WebhookRow

_LIST_WEBHOOKS = text(f"""
    -- list_webhooks --
    SELECT {WEBHOOK_COLUMNS} FROM webhooks WHERE id > :after ORDER BY id LIMIT :limit
""")  # noqa: S608 - the names are ours

_FIND_WEBHOOK = text(f"""
    -- find_webhook --
    SELECT {WEBHOOK_COLUMNS} FROM webhooks WHERE id = :webhook_id
""")  # noqa: S608 - the names are ours

_LIST_DELIVERIES = text("""
    -- list_deliveries --
    SELECT id, event_id, kind, nullif(mailing_id, 0) AS mailing_id, body, created_at, tries, tried_at,
        CASE WHEN delivered_at IS NULL THEN next_at END AS next_at, status, error, duration_ms, delivered_at
    FROM deliveries WHERE webhook_id = :webhook_id AND id < :before_id ORDER BY id DESC LIMIT :limit
""")


async def list_webhooks(connection: AsyncConnection, *, after: int, limit: int) -> list[WebhookRow]:
    """Return webhooks by ascending id."""
    rows = await connection.execute(_LIST_WEBHOOKS, {"after": after, "limit": limit})
    return [WebhookRow(**row._mapping) for row in rows]


async def find_webhook(connection: AsyncConnection, webhook_id: int) -> WebhookRow | None:
    """Return the webhook; None if there is none with this id."""
    row = (await connection.execute(_FIND_WEBHOOK, {"webhook_id": webhook_id})).one_or_none()
    return None if row is None else WebhookRow(**row._mapping)


async def list_deliveries(
    connection: AsyncConnection, webhook_id: int, *, before_id: int, limit: int
) -> list[dict[str, object]]:
    """Return the deliveries of a webhook, newest first."""
    parameters = {"webhook_id": webhook_id, "before_id": before_id, "limit": limit}
    return [dict(row) for row in (await connection.execute(_LIST_DELIVERIES, parameters)).mappings()]
