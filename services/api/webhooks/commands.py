"""Changes of webhooks, each with its audit entry in the same transaction. Secrets are in no entry."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import Invalid, NotFound
from services.api.webhooks.schemas import WebhookChange, WebhookIn
from shared.ledger.audit import Subject, audit
from shared.ledger.deliveries import make_deliveries_due, put_webhook_test, send_delivery_again
from shared.ledger.origin import Origin
from shared.ledger.webhooks import (
    WebhookColumns,
    WebhookRow,
    change_webhook,
    create_webhook,
    delete_webhook,
    lock_webhook,
    rotate_secret,
)
from shared.webhook_addresses import Network, check_url
from shared.webhook_secrets import new_secret

PREVIOUS_SECRET_LASTS = timedelta(days=1)


async def create(
    connection: AsyncConnection, new: WebhookIn, allowed: Sequence[Network], origin: Origin
) -> tuple[WebhookRow, bytes]:
    """Create a webhook; return it with its secret. Raises Invalid."""
    _check(new.url, allowed)
    secret = new_secret()
    columns = WebhookColumns(new.name, new.url, [event.value for event in new.events], new.messages.value)
    webhook = await create_webhook(connection, columns, secret)
    await audit(connection, origin, Subject("webhook", webhook.id, after=_columns(webhook)))
    return webhook, secret


async def change(
    connection: AsyncConnection,
    webhook_id: int,
    wanted: WebhookChange,
    allowed: Sequence[Network],
    origin: Origin,
    now: datetime,
) -> WebhookRow:
    """Change the given fields. Raises NotFound, Invalid."""
    before = await lock_webhook(connection, webhook_id)
    if before is None:
        raise NotFound("webhook", webhook_id)
    if wanted.url is not None:
        _check(wanted.url, allowed)
    columns = WebhookColumns(
        wanted.name or before.name,
        wanted.url or before.url,
        before.events if wanted.events is None else [event.value for event in wanted.events],
        before.messages if wanted.messages is None else wanted.messages.value,
    )
    was_enabled = before.disabled_at is None
    is_enabled = was_enabled if wanted.enabled is None else wanted.enabled
    after = await change_webhook(connection, webhook_id, columns, now, is_enabled=is_enabled)
    if is_enabled and (not was_enabled or wanted.url is not None):
        await make_deliveries_due(connection, webhook_id, now)
    await audit(connection, origin, Subject("webhook", webhook_id, _columns(before), _columns(after)))
    return after


async def rotate(
    connection: AsyncConnection, webhook_id: int, origin: Origin, now: datetime
) -> tuple[bytes, datetime]:
    """Give the webhook a new secret; return it, and when the previous one ends. Raises NotFound."""
    if await lock_webhook(connection, webhook_id) is None:
        raise NotFound("webhook", webhook_id)
    secret, previous_until = new_secret(), now + PREVIOUS_SECRET_LASTS
    await rotate_secret(connection, webhook_id, secret, previous_until)
    await audit(connection, origin, Subject("webhook", webhook_id))
    return secret, previous_until


async def delete(connection: AsyncConnection, webhook_id: int, origin: Origin) -> None:
    """Delete a webhook with its deliveries. Raises NotFound."""
    before = await lock_webhook(connection, webhook_id)
    if before is None or not await delete_webhook(connection, webhook_id):
        raise NotFound("webhook", webhook_id)
    await audit(connection, origin, Subject("webhook", webhook_id, before=_columns(before)))


async def test(connection: AsyncConnection, webhook_id: int, origin: Origin, now: datetime) -> int:
    """Send a test to a webhook; return the delivery's id. Raises NotFound."""
    if await lock_webhook(connection, webhook_id) is None:
        raise NotFound("webhook", webhook_id)
    await audit(connection, origin, Subject("webhook", webhook_id))
    return await put_webhook_test(connection, webhook_id, now)


async def send_again(connection: AsyncConnection, webhook_id: int, delivery_id: int, origin: Origin) -> int:
    """Send the event of a delivery once more; return the new delivery's id. Raises NotFound."""
    again = await send_delivery_again(connection, webhook_id, delivery_id)
    if again is None:
        raise NotFound("delivery", delivery_id)
    await audit(connection, origin, Subject("webhook", webhook_id))
    return again


def _check(url: str, allowed: Sequence[Network]) -> None:
    try:
        check_url(url, allowed)
    except ValueError as error:
        raise Invalid("url", str(error)) from error


def _columns(webhook: WebhookRow) -> dict[str, object]:
    return {
        "name": webhook.name,
        "url": webhook.url,
        "events": webhook.events,
        "messages": webhook.messages,
        "enabled": webhook.disabled_at is None,
    }
