"""What goes over HTTP: the bodies of requests, and of answers.

A body may carry what the service itself decides (`id`, `code`, `state`, …): it is ignored, so that an answer
can be changed and sent back. Any other field that is not known is refused, for it is a typing error.
The bodies of changes are typed dictionaries: which fields are there is exactly what was sent, and only what a
mailing can be without may be null.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

from services.api.filters import FilterIn, Normalised, Tag, Zone, without_nul
from services.api.instants import parse_instant
from services.api.limits import LocalWindow, Rate
from services.api.numbers import HIGHEST, LOWEST, parse_number
from shared.contracts import INT64_MAX
from shared.statuses import RETRYABLE_STATUSES, MailingState, MessageStatus, Reason


def _not_blank(given: str) -> str:
    if not given.strip():
        raise ValueError("must not be blank")
    return given


Id = Annotated[int, Field(ge=1, le=INT64_MAX)]
Number = Annotated[
    int,
    BeforeValidator(parse_number, json_schema_input_type=int | str),
    Field(examples=[79057003050, "+7 (905) 700-30-50"]),
]
MailingText = Annotated[
    str, Field(min_length=1, max_length=500), AfterValidator(without_nul), AfterValidator(_not_blank)
]
Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant, json_schema_input_type=str),
    Field(examples=["2030-01-31T10:00:00Z", "2030-01-31 13:00:00+03:00"]),
]


class ClientOut(BaseModel):
    """A client as it is kept."""

    id: int
    number: int = Field(ge=LOWEST, le=HIGHEST)
    code: int = Field(description="The mobile operator's code, always derived from the number.")
    tag: str
    zone: str


class ClientPage(BaseModel):
    """Clients by ascending id."""

    items: list[ClientOut]
    next: int | None = Field(description="Give it as `after` to get the next page; null on the last one.")


class Rejection(BaseModel):
    """A row of an upload that was not taken."""

    line: int = Field(description="of the file; the header is line 1", examples=[17])
    reason: str = Field(examples=["zone: is not a known IANA time zone; they look like 'Europe/Moscow'"])


class Imported(BaseModel):
    """What an upload came to: `rows` is the sum of the others."""

    rows: int
    added: int
    changed: int
    unchanged: int
    repeated: int = Field(description="with a number that came again further down, where it counted")
    rejected: int
    rejections: list[Rejection] = Field(description="the first 1,000 rows that were rejected")


class _CountedMessages(BaseModel):
    """Number of messages of a mailing by status. The numbers always add up to `total`."""

    total: int

    if TYPE_CHECKING:

        def __getattr__(self, status: str) -> int: ...
        def __setattr__(self, status: str, count: int) -> None: ...


if TYPE_CHECKING:
    MessagesStatus = _CountedMessages
else:  # a field for each status, so that a new one needs no line here
    MessagesStatus = create_model(
        "MessagesStatus",
        __base__=_CountedMessages,
        __doc__=_CountedMessages.__doc__,
        **{status: (int, Field(description=status.description)) for status in MessageStatus},
    )


class MailingOut(BaseModel):
    """A mailing as it is kept, and how far it has come."""

    id: int
    created_at: datetime
    starts_at: datetime
    expired_at: datetime
    text: str
    filter: Normalised = Field(
        description='The object form, lists sorted, however it was given: `905` comes back as `{"code": [905]}`.',
        examples=[{"tag": ["#AzbukaVkusa"]}],
    )
    window: LocalWindow | None = Field(description="null: at any time of day")
    rate: Rate | None = Field(description="Messages per second, over all senders; null: as fast as it goes.")
    state: MailingState
    paused: bool
    started_at: datetime | None = Field(description="when its audience was fixed and sending began")
    finished_at: datetime | None = Field(description="when its last message came to an end")
    messages_status: MessagesStatus


class Preview(BaseModel):
    """What a mailing would be if it were made now."""

    recipients: int
    by_zone: dict[str, int]
    by_code: dict[int, int]
    unknown_zones: int = Field(
        description="with a window: recipients who would get nothing, as their time zone is not known (any more)"
    )
    late: int = Field(description="other recipients whose turn would not come before the end")
    finish: datetime | None = Field(
        description="when the last message would leave; null if there is none, or not within a year"
    )
    rate: float | None = Field(
        description="Messages per second that were reckoned with: the lower of the mailing's and the provider's"
        " limit, as if no other mailing ran; null if there is neither, and sending was taken to need no time."
    )
    sample: list[ClientOut] = Field(description="up to 5 of the recipients")


class MessageOut(BaseModel):
    """The SMS to one client, or to one number."""

    id: int
    mailing_id: int | None = Field(description="null when it was sent on its own")
    client_id: int | None = Field(description="null when it was sent to a number that was no client's")
    number: int | None = Field(
        description="The client's number now, or the one it was sent to; null when the client was deleted."
    )
    status: MessageStatus
    reason: Reason | None = Field(
        description="Why it ended so, where the status does not say it all. Expired: `window` (the client's local"
        " window did not open in time), `zone` (its time zone is not known), `end` (the end came first)."
        " Canceled: `cancel` (the mailing was), `client` (the client was deleted). Failed or uncertain: `answer`"
        " (what the provider answered; see the attempts), `silence` (its sender was not heard of again)."
    )
    created_at: datetime = Field(description="the start of its mailing, when it was fixed whom it goes to")
    settled_at: datetime | None = Field(description="when its status became final")
    tries: int = Field(description="deliveries that had to be repeated")


class MailingDetail(MailingOut):
    """A mailing with its first 100 messages."""

    messages: list[MessageOut]


class MailingPage(BaseModel):
    """Mailings, newest first."""

    items: list[MailingOut]
    next: int | None = Field(description="Give it as `after` to get the next page; null on the last one.")


class MessagePage(BaseModel):
    """Messages of one mailing, in the order of their clients."""

    items: list[MessageOut]
    next: int | None = Field(description="Opaque. Give it as `after` to get the next page; null on the last.")


class AttemptOut(BaseModel):
    """One POST to the provider, or the reason why there was none."""

    at: datetime
    sender: str | None = Field(description="which sender; null when that is no longer known")
    outcome: str = Field(examples=["accepted", "rejected", "deferred", "uncertain", "expired"])
    provider_status: int | None = Field(description="HTTP status of the provider's answer")
    provider_text: str | None = Field(description="the provider's answer, cut to 200 characters")
    duration_ms: int | None


class MessageDetail(MessageOut):
    """A message with its attempts, oldest first."""

    attempts: list[AttemptOut]


class HistoryItem(MessageDetail):
    """A message with all that tells what became of it, and why."""

    text: str = Field(description="its mailing's, as are the next ones")
    starts_at: datetime
    expired_at: datetime
    state: MailingState
    paused: bool
    due_at: datetime | None = Field(description="It is sent, or tried again, not before; null when it is settled.")


class HistoryPage(BaseModel):
    """The messages to one person, newest first."""

    items: list[HistoryItem]
    next: int | None = Field(description="Give it as `after` to get the next page; null on the last one.")


_CLIENT_READ_ONLY = frozenset({"id", "code"})
_MAILING_READ_ONLY = MailingDetail.model_fields.keys() - {
    "starts_at",
    "expired_at",
    "text",
    "filter",
    "window",
    "rate",
}


def _without(names: frozenset[str] | set[str], given: object) -> object:
    return {name: given[name] for name in given if name not in names} if isinstance(given, dict) else given


def _client_fields(given: object) -> object:
    return _without(_CLIENT_READ_ONLY, given)


def _mailing_fields(given: object) -> object:
    return _without(_MAILING_READ_ONLY, given)


class ClientIn(BaseModel):
    """A new client. `code` and `id` are ignored if given."""

    model_config = ConfigDict(extra="forbid")

    number: Number
    tag: Tag
    zone: Zone

    _ignore_read_only = model_validator(mode="before")(_client_fields)


class MailingIn(BaseModel):
    """A new mailing."""

    model_config = ConfigDict(extra="forbid")

    starts_at: Instant
    expired_at: Instant
    text: MailingText
    filter: FilterIn
    window: LocalWindow | None = None
    rate: Rate | None = None

    _ignore_read_only = model_validator(mode="before")(_mailing_fields)


class MessageIn(BaseModel):
    """A message to be sent on its own, to a client or to any number."""

    model_config = ConfigDict(extra="forbid")

    number: Number | None = None
    client: Id | None = Field(default=None, description="a client's id, instead of a number")
    text: MailingText
    expired_at: Instant | None = Field(
        default=None, description="No POST begins at or after this; in 24 hours if it is left out."
    )

    @model_validator(mode="after")
    def _names_one_addressee(self) -> "MessageIn":
        if (self.number is None) == (self.client is None):
            raise ValueError("must have either number or client")
        return self


@with_config(ConfigDict(extra="forbid"))
class ClientFields(TypedDict, total=False):
    """What of a client is to change; the rest stays."""

    number: Number
    tag: Tag
    zone: Zone


@with_config(ConfigDict(extra="forbid"))
class MailingFields(TypedDict, total=False):
    """What of a mailing is to change; the rest stays."""

    starts_at: Instant
    expired_at: Instant
    text: MailingText
    filter: FilterIn
    window: LocalWindow | None
    rate: Rate | None


if TYPE_CHECKING:
    RetryableStatus = MessageStatus
else:
    RetryableStatus = Literal[*RETRYABLE_STATUSES]


@with_config(ConfigDict(extra="forbid"))
class Retry(TypedDict):
    """Which messages are to be sent after all, and until when."""

    status: Annotated[list[RetryableStatus], Field(min_length=1)]
    expired_at: Instant


ClientChange = Annotated[ClientFields, BeforeValidator(_client_fields)]
MailingChange = Annotated[MailingFields, BeforeValidator(_mailing_fields)]
