"""Answers of the REST API. Unknown fields are ignored: a newer API may have more of them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from shared.statuses import FINAL_STATUSES, OPEN_STATUSES, MessageStatus

Item = TypeVar("Item")


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Page(_Answer, Generic[Item]):
    """A page of a list. `next` is the cursor of the next page; None on the last one."""

    items: Sequence[Item]
    next: int | None


class Alert(_Answer):
    """A condition that somebody should look at. `subject` is the id or the queue that it is about."""

    id: int
    kind: str
    subject: str
    severity: str
    facts: Mapping[str, object]
    began_at: datetime


class Webhook(_Answer):
    """An address of a program that events are sent to."""

    id: int
    name: str
    url: str
    events: Sequence[str]
    messages: str
    enabled: bool
    failing_since: datetime | None
    disabled_because: str | None


class NewWebhook(Webhook):
    """A new webhook with its secret."""

    secret: str


class RotatedSecret(_Answer):
    """A new secret; the previous one signs, too, until the instant."""

    secret: str
    previous_until: datetime


class Delivery(_Answer):
    """An event for a webhook, and the outcome of its last POST."""

    id: int
    kind: str
    mailing_id: int | None
    created_at: datetime
    tries: int
    status: int | None
    error: str | None
    delivered_at: datetime | None


class AddedDelivery(_Answer):
    """A delivery that was added on request."""

    delivery_id: int


class Session(_Answer):
    """A new session of a person."""

    token: str
    expires_at: datetime


class Client(_Answer):
    """A person in the directory."""

    id: int
    number: int | str  # masked for viewers
    code: int
    tag: str
    zone: str


class Stop(_Answer):
    """A number that must not be written to."""

    id: int
    number: int | str  # masked for viewers
    scope: str
    since: datetime
    source: str
    note: str


class Window(_Answer):
    """The local hours in which clients are written to."""

    begin: str = Field(alias="from")
    until: str


class Mailing(_Answer):
    """A mailing and the number of its messages by status."""

    id: int
    created_at: datetime
    starts_at: datetime
    expired_at: datetime
    text: str
    filter: Mapping[str, Sequence[int | str]]
    window: Window | None
    rate: float | None
    name: str | None
    kind: str
    state: str
    paused: bool
    stop: str | None = None
    started_at: datetime | None
    finished_at: datetime | None
    messages_status: Mapping[str, int]

    @property
    def title(self) -> str:
        """The name, or the text of a mailing without one."""
        return self.name or self.text

    def count(self, status: MessageStatus) -> int:
        """Return the number of messages in the status."""
        return self.messages_status.get(status, 0)

    @property
    def total(self) -> int:
        """Number of all messages. It grows while the audience is being fixed."""
        return self.messages_status.get("total", 0)

    @property
    def open(self) -> int:
        """Number of messages that may still be sent."""
        return sum(self.count(status) for status in OPEN_STATUSES)

    @property
    def settled(self) -> int:
        """Number of messages with a final status."""
        return sum(self.count(status) for status in FINAL_STATUSES)

    @property
    def handled(self) -> int:
        """Number of messages that came to their end by being worked on: canceling thousands is no speed."""
        return self.settled - self.count(MessageStatus.CANCELED)

    @property
    def unsent(self) -> int:
        """Number of people who certainly or possibly got nothing, for good."""
        return self.settled - self.count(MessageStatus.SENT)


class Message(_Answer):
    """The SMS to one client or number."""

    id: int
    mailing_id: int | None
    client_id: int | None
    number: int | None
    status: MessageStatus
    reason: str | None
    created_at: datetime
    settled_at: datetime | None
    tries: int


class Attempt(_Answer):
    """One POST to the provider, or the reason why there was none."""

    at: datetime
    sender: str | None
    outcome: str
    provider_status: int | None
    provider_text: str | None
    duration_ms: int | None


class MessageDetail(Message):
    """A message with its attempts, oldest first."""

    attempts: Sequence[Attempt]


class AttemptItem(Attempt):
    """An attempt with its message, in the list across mailings."""

    message_id: int
    mailing_id: int | None
    client_id: int | None
    number: int | str | None  # masked for viewers
    status: MessageStatus


class AttemptPage(_Answer):
    """A page of attempts, newest first. `next` is the cursor of the next page; None on the last one."""

    items: Sequence[AttemptItem]
    next: str | None


class ProviderAnswer(_Answer):
    """Words of the provider, and the number of messages that got them last."""

    provider_status: int | None
    provider_text: str | None
    messages: int


class ReasonCount(_Answer):
    """Messages that were not sent, with the same status and reason."""

    status: MessageStatus
    reason: str | None
    messages: int


class ReasonDetail(ReasonCount):
    """Messages of one mailing that were not sent, with the provider's most frequent answers."""

    answers: Sequence[ProviderAnswer]


class Reasons(_Answer):
    """Why messages of a mailing were not sent, the most frequent reason first."""

    items: Sequence[ReasonDetail]


class _Counts(_Answer):
    """Number of messages by final status."""

    model_config = ConfigDict(extra="allow")

    def count(self, status: str) -> int:
        """Return the number of messages in the status."""
        value = (self.model_extra or {}).get(status, 0)
        return value if isinstance(value, int) else 0

    @property
    def all(self) -> int:
        """Number of messages with a final status."""
        return sum(self.count(status) for status in FINAL_STATUSES)

    @property
    def handled(self) -> int:
        """Number of messages that came to their end by being worked on."""
        return self.all - self.count(MessageStatus.CANCELED)


class Period(_Counts):
    """Messages that got their final status in a period that began at the instant."""

    at: datetime


class Progress(_Answer):
    """Course of a mailing, in steps of so many seconds."""

    step: int
    points: Sequence[Period]


class Statistics(_Answer):
    """Messages of all mailings that got their final status in a time."""

    messages: _Counts
    single_messages: _Counts
    periods: Sequence[Period]
    reasons: Sequence[ReasonCount]


class HistoryItem(MessageDetail):
    """A message with its mailing's text and times."""

    text: str
    starts_at: datetime
    expired_at: datetime
    state: str
    paused: bool
    due_at: datetime | None


class Preview(_Answer):
    """A mailing as it would be if it were made now."""

    recipients: int
    by_zone: Mapping[str, int]
    by_code: Mapping[str, int]
    unknown_zones: int
    stopped: int
    late: int
    finish: datetime | None
    rate: float | None
    sample: Sequence[Client]


class Rejection(_Answer):
    """A row of an upload that was not taken."""

    line: int
    reason: str


class Imported(_Answer):
    """The result of an upload."""

    rows: int
    added: int
    changed: int
    unchanged: int
    repeated: int
    rejected: int
    rejections: Sequence[Rejection]


class FieldError(_Answer):
    """A field of a request at fault."""

    field: str
    message: str


class Problem(_Answer):
    """The API's explanation of a refusal (RFC 9457)."""

    detail: str = ""
    request_id: str | None = None
    errors: Sequence[FieldError] = ()
