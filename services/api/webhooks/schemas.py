"""Bodies of requests and answers about webhooks."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from services.api.edge.pages import Next
from services.api.edge.texts import refuse_nul
from shared.webhook_events import SUBSCRIBABLE, WebhookEvent

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(refuse_nul)
]
Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=2000, pattern=r"^https?://"),
    Field(description="An address that is public, or in a network of `MAILING_WEBHOOK_ALLOW`."),
]


def _check_events(events: list[WebhookEvent]) -> list[WebhookEvent]:
    if WebhookEvent.TEST in events:
        raise ValueError(f"must be some of {', '.join(SUBSCRIBABLE)}")
    return list(dict.fromkeys(events))


Events = Annotated[
    list[WebhookEvent], Field(min_length=1, max_length=len(WebhookEvent)), AfterValidator(_check_events)
]


class Messages(StrEnum):
    """Messages that `message.settled` is about."""

    SINGLES = "singles"
    ALL = "all"


_Messages = Annotated[
    Messages, Field(description="Whose `message.settled` is sent: of single messages, or of mailings as well.")
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class WebhookIn(_Body):
    """A new webhook."""

    name: Name = Field(examples=["shop backend"])
    url: Url
    events: Events
    messages: _Messages = Messages.SINGLES


class WebhookChange(_Body):
    """New values of a webhook. Fields that are left out keep their values."""

    name: Name | None = None
    url: Url | None = None
    events: Events | None = None
    messages: _Messages | None = None
    enabled: bool | None = Field(
        default=None, description="True switches it on again. Events that waited are sent then."
    )


class WebhookOut(BaseModel):
    """A webhook without its secret."""

    id: int
    name: str
    url: str
    events: list[WebhookEvent]
    messages: Messages
    enabled: bool
    created_at: datetime
    failing_since: datetime | None = Field(description="The first failure after the last success.")
    disabled_at: datetime | None
    disabled_because: str | None = Field(description="Why the service switched it off, if it did.")


class NewWebhookOut(WebhookOut):
    """A new webhook with its secret, which is shown once."""

    secret: str = Field(description="The key of the signatures, after the Standard Webhooks specification.")


class SecretOut(BaseModel):
    """A new secret, which is shown once."""

    secret: str
    previous_until: datetime = Field(description="Until then every event is signed by the previous secret, too.")


class WebhookPage(BaseModel):
    """Webhooks by ascending id."""

    items: list[WebhookOut]
    next: Next


class DeliveryOut(BaseModel):
    """An event on its way to a webhook, and the outcome of its last POST."""

    id: int
    event_id: UUID = Field(description="The header `webhook-id`. It is the same at every try.")
    kind: WebhookEvent
    mailing_id: int | None
    body: str
    created_at: datetime
    tries: int
    tried_at: datetime | None
    next_at: datetime | None = Field(description="The next try; null if it is delivered.")
    status: int | None = Field(description="HTTP status of the last answer.")
    error: str | None
    duration_ms: int | None
    delivered_at: datetime | None


class DeliveryPage(BaseModel):
    """Deliveries, newest first."""

    items: list[DeliveryOut]
    next: Next


class NewDelivery(BaseModel):
    """A delivery that was added."""

    delivery_id: int
