"""Routes of /api/webhook/."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from services.api.edge.dependencies import DatabaseDep, OriginDep
from services.api.edge.pages import After, Limit, cut_page
from services.api.edge.problems import documented
from services.api.edge.refusals import NotFound
from services.api.edge.strict_json import StrictJsonRoute
from services.api.webhooks import commands, queries
from services.api.webhooks.schemas import (
    DeliveryPage,
    NewDelivery,
    NewWebhookOut,
    SecretOut,
    WebhookChange,
    WebhookIn,
    WebhookOut,
    WebhookPage,
)
from shared.contracts import INT64_MAX, utc_now
from shared.ledger.webhooks import WebhookRow
from shared.webhook_addresses import Network
from shared.webhook_secrets import as_text

router = APIRouter(prefix="/api/webhook", tags=["webhooks"], route_class=StrictJsonRoute)

WebhookId = Annotated[int, Path(ge=1, le=INT64_MAX, description="The webhook's id.", examples=[1])]
DeliveryId = Annotated[int, Path(ge=1, le=INT64_MAX, description="The delivery's id.", examples=[1])]


async def _allowed(request: Request) -> tuple[Network, ...]:
    allowed = request.app.state.webhook_allow
    assert isinstance(allowed, tuple)
    return allowed


AllowedDep = Annotated[tuple[Network, ...], Depends(_allowed)]


@router.get("/", summary="List webhooks", responses=documented())
async def list_webhooks(database: DatabaseDep, limit: Limit = 100, after: After = None) -> WebhookPage:
    """List the webhooks by ascending id, without their secrets."""
    rows = await database.statement(queries.list_webhooks, after=after or 0, limit=limit + 1)
    items = [_shown(row) for row in rows[:limit]]
    return WebhookPage(items=items, next=items[-1].id if len(rows) > limit else None)


@router.post("/", status_code=201, summary="Create a webhook", responses=documented())
async def create_webhook(
    new: WebhookIn, database: DatabaseDep, origin: OriginDep, allowed: AllowedDep
) -> NewWebhookOut:
    """Create a webhook. The answer shows the secret of its signatures once.

    Events are POSTed as JSON, in order for each mailing, and at least once. A receiver recognises a repeated
    event by its header `webhook-id`. After an answer other than 2xx, the event is tried again for a day. Then the
    webhook is switched off.
    """
    webhook, secret = await database.transaction(commands.create, new, allowed, origin)
    return NewWebhookOut(**_shown(webhook).model_dump(), secret=as_text(secret))


@router.get("/{webhook_id}/", summary="Show a webhook", responses=documented(NotFound))
async def show_webhook(webhook_id: WebhookId, database: DatabaseDep) -> WebhookOut:
    """Return a webhook without its secret."""
    row = await database.statement(queries.find_webhook, webhook_id)
    if row is None:
        raise NotFound("webhook", webhook_id)
    return _shown(row)


@router.patch("/{webhook_id}/", summary="Change a webhook", responses=documented(NotFound))
async def change_webhook(
    webhook_id: WebhookId, wanted: WebhookChange, database: DatabaseDep, origin: OriginDep, allowed: AllowedDep
) -> WebhookOut:
    """Change the given fields, or switch the webhook off and on. Events that waited are sent when it is on."""
    changed = await database.transaction(commands.change, webhook_id, wanted, allowed, origin, utc_now())
    return _shown(changed)


@router.delete("/{webhook_id}/", status_code=204, summary="Delete a webhook", responses=documented(NotFound))
async def delete_webhook(webhook_id: WebhookId, database: DatabaseDep, origin: OriginDep) -> None:
    """Delete a webhook. Events that wait for it are not sent any more."""
    await database.transaction(commands.delete, webhook_id, origin)


@router.post("/{webhook_id}/secret/", summary="Rotate the secret", responses=documented(NotFound))
async def rotate_secret(webhook_id: WebhookId, database: DatabaseDep, origin: OriginDep) -> SecretOut:
    """Give the webhook a new secret. For a day, every event is signed by both, so that no event is refused."""
    secret, previous_until = await database.transaction(commands.rotate, webhook_id, origin, utc_now())
    return SecretOut(secret=as_text(secret), previous_until=previous_until)


@router.post("/{webhook_id}/test/", status_code=201, summary="Send a test", responses=documented(NotFound))
async def test_webhook(webhook_id: WebhookId, database: DatabaseDep, origin: OriginDep) -> NewDelivery:
    """Send an event `webhook.test`. The list of deliveries shows what became of it."""
    return NewDelivery(delivery_id=await database.transaction(commands.test, webhook_id, origin, utc_now()))


@router.get("/{webhook_id}/deliveries/", summary="List deliveries", responses=documented(NotFound))
async def list_deliveries(
    webhook_id: WebhookId, database: DatabaseDep, limit: Limit = 100, after: After = None
) -> DeliveryPage:
    """List the events for a webhook, newest first, with the outcome of the last POST. They are kept for a week."""
    if await database.statement(queries.find_webhook, webhook_id) is None:
        raise NotFound("webhook", webhook_id)
    before_id = after or INT64_MAX
    rows = await database.statement(queries.list_deliveries, webhook_id, before_id=before_id, limit=limit + 1)
    return DeliveryPage.model_validate(cut_page(rows, limit))


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/again/",
    status_code=201,
    summary="Send an event again",
    responses=documented(NotFound),
)
async def send_again(
    webhook_id: WebhookId, delivery_id: DeliveryId, database: DatabaseDep, origin: OriginDep
) -> NewDelivery:
    """Send the event of a delivery once more, with the same `webhook-id`."""
    again = await database.transaction(commands.send_again, webhook_id, delivery_id, origin)
    return NewDelivery(delivery_id=again)


def _shown(row: WebhookRow) -> WebhookOut:
    return WebhookOut.model_validate({**asdict(row), "enabled": row.disabled_at is None})
