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
    state: str
    paused: bool
    started_at: datetime | None
    finished_at: datetime | None
    messages_status: Mapping[str, int]

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
