"""Bodies of requests and answers about mailings.

A body may hold fields that the service decides (`id`, `state`, …). They are ignored, so a caller can change an
answer and send it back. Any other unknown field is refused, because it is probably a typing error.
"""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    create_model,
    model_validator,
    with_config,
)
from typing_extensions import TypedDict

from services.api.clients.schemas import ClientOut
from services.api.edge.instants import Instant
from services.api.edge.read_only import without
from services.api.edge.texts import MailingText, refuse_nul
from services.api.mailings.filters import FilterIn, NormalisedFilter
from services.api.mailings.limits import FrequencyCap, LocalWindow, MaxParts, NoRepeat, Rate
from services.api.messages.schemas import MessageOut
from shared.provider_fields import MAX_VALIDITY, MIN_VALIDITY, ProviderField, parse_sender_name
from shared.statuses import RETRYABLE_STATUSES, MailingState, MessageStatus
from shared.stop_list import MailingKind


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
    """A mailing and its progress."""

    id: int
    created_at: datetime
    starts_at: datetime
    expired_at: datetime
    text: str
    has_placeholders: bool = Field(
        description="True if the text has placeholders such as `{name|friend}`, and is rendered for each client."
    )
    filter: NormalisedFilter = Field(
        description="The filter as an object of sorted lists, in whatever form it was sent: `905` is returned as"
        ' `{"code": [905]}`.',
        examples=[{"tag": ["#AzbukaVkusa"]}],
    )
    window: LocalWindow | None = Field(description="Null if messages may be sent at any time of day.")
    rate: Rate | None = Field(
        description="The largest number of messages per second, over all senders. Null if there is no limit."
    )
    name: str | None = Field(description="A name for people. Null if it has none.")
    kind: MailingKind
    sender_name: str | None = Field(description="The name that people see. Null: that of the provider's account.")
    validity: int | None = Field(
        description="The seconds that the provider may try to deliver a message. Null: until its deadline."
    )
    frequency_cap: FrequencyCap | None = Field(
        description="Who has got so many marketing messages within so many days gets none of this mailing. Null:"
        " no limit."
    )
    no_repeat: int | None = Field(
        description="Days within which nobody gets the same text again. Null: it is not looked at."
    )
    max_parts: int | None = Field(description="The largest number of SMS parts of the text. Null: any number.")
    parts: int = Field(
        description="The number of SMS parts of the text, by which providers charge. With placeholders, it is that"
        " of the text for a client without attributes. The preview says how many there may be."
    )
    state: MailingState = Field(
        description="`waiting`: somebody other than its author must approve it before it starts, as it is large."
    )
    author: str | None = Field(
        description="Who created the mailing, or changed its text, audience or hours last. Null if not known."
    )
    approved_by: str | None = Field(description="Who approved the mailing as it is. Null if nobody did.")
    paused: bool
    stop: Literal["applied", "pending"] | None = Field(
        description="Of a paused or canceled mailing: `applied` if nothing more of it is sent, `pending` while a"
        " sender has not confirmed that. A sender that cannot be reached begins nothing new after a second. Null"
        " for any other mailing."
    )
    started_at: datetime | None = Field(description="When the audience was fixed and sending began.")
    finished_at: datetime | None = Field(description="When the last message got a final status.")
    messages_status: MessagesStatus
    removed: int = Field(
        description="The number of messages whose details were removed, because of their age or because their"
        " person was erased. They still count in `messages_status`."
    )
    details_removed_at: datetime | None = Field(
        description="When the removal of its messages because of their age began. Since then the mailing cannot be"
        " retried. Null if they are kept."
    )
    version: int = Field(default=1, exclude=True)

    @property
    def entity_tag(self) -> str:
        """The version, for the header `ETag`: it changes when a person changes something, and with the state."""
        return f"{self.version}-{self.state}"


class MailingForecast(BaseModel):
    """The end of a running mailing, if it goes on at its present speed."""

    rate: float = Field(description="The messages per second that senders handled in the last 30 seconds.")
    finish: datetime | None = Field(
        description="When the last message that is in time would be sent. Null if nothing is left, or if nothing"
        " is sent at present and no limit says how fast it could go on."
    )
    late: int | None = Field(
        description="The number of messages that would not be sent before `expired_at`. Null if that is not known."
    )


class MailingDetail(MailingOut):
    """A mailing with its outlook and its first 100 messages."""

    expected: int | None = Field(
        description="Of a mailing that has not started: the number of people whom the filter selects now."
    )
    forecast: MailingForecast | None = Field(
        description="Of a running mailing that is not paused. With a window, it counts on the highest speed of the"
        " last day whenever windows are open. Null for any other, and in the first seconds."
    )
    messages: list[MessageOut]


class MailingPage(BaseModel):
    """Mailings in the order that was asked for."""

    items: list[MailingOut]
    next: int | str | None = Field(
        description="Send it as `after`, with the same `sort`, to get the next page. It is null on the last page."
    )


class TextParts(BaseModel):
    """The SMS parts of a text."""

    count: int
    encoding: Literal["GSM-7", "UCS-2"] = Field(
        description="A text of the GSM alphabet has 160 characters in one part, or 153 in each of several. Any"
        " other text has 70 or 67."
    )
    units: int = Field(description="The length in septets or in UTF-16 code units. `€` and `[` take two septets.")


class RenderedText(BaseModel):
    """The text for one client of the sample."""

    client_id: int
    text: str
    parts: int


class Preview(BaseModel):
    """A forecast of a mailing, if it were created now."""

    recipients: int
    by_zone: dict[str, int]
    by_code: dict[int, int]
    unknown_zones: int = Field(
        description="The number of recipients who would get nothing, because the mailing has a window or a quiet"
        " time, and their time zone is unknown."
    )
    stopped: int = Field(
        description="The number of recipients who would get nothing, because their numbers are on the stop list."
    )
    text_parts: TextParts = Field(description="Of the text for a client without attributes.")
    texts: list[RenderedText] = Field(
        description="The texts for the clients of the sample. Empty if the text has no placeholders."
    )
    lacking: dict[str, int] = Field(
        description="The number of recipients who have no value for an attribute that the text shows, by"
        " attribute. They get the text after the `|`, or nothing in its place.",
        examples=[{"name": 12}],
    )
    most_parts: int = Field(description="The highest number of SMS parts that a recipient's text has.")
    quiet_time: str | None = Field(
        description="The local time in which nothing of the mailing is sent, even if its window is open, as it"
        " is marketing. Null if there is none.",
        examples=["21:00-08:00"],
    )
    needs_approval: bool = Field(
        description="True if the mailing would wait until somebody else approves it, because it is so large."
    )
    late: int = Field(description="The number of other recipients who could not be reached before `expired_at`.")
    finish: datetime | None = Field(
        description="When the last message would be sent. Null if no message would be sent, or not within a year."
    )
    rate: float | None = Field(
        description="The rate of the forecast in messages per second: the lower of the mailing's and the"
        " provider's limit, as if no other mailing ran. Null if neither has a limit; the forecast then assumes"
        " that sending takes no time."
    )
    sample: list[ClientOut] = Field(description="Up to 5 of the recipients.")


_DECIDED_BY_CALLER = {
    "starts_at",
    "expired_at",
    "text",
    "filter",
    "window",
    "rate",
    "name",
    "kind",
    "max_parts",
    "frequency_cap",
    "no_repeat",
} | {*ProviderField}
_READ_ONLY = MailingDetail.model_fields.keys() - _DECIDED_BY_CALLER


def _without_read_only(given: object) -> object:
    return without(_READ_ONLY, given)


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=100),
    AfterValidator(refuse_nul),
    Field(description="A name for people, such as `Autumn sale`. It is never sent."),
]
Kind = Annotated[
    MailingKind,
    Field(
        description="`marketing` needs the person's consent, so it is not sent to numbers on the stop list."
        " `service` is something that the person waits for. It is not sent to numbers that are stopped for `all`."
    ),
]

SenderName = Annotated[
    str,
    AfterValidator(parse_sender_name),
    Field(
        min_length=1,
        max_length=15,
        description="The name that people see, if the provider's adapter knows it: up to 11 letters and digits."
        " Otherwise it is refused.",
        examples=["AzbukaVkusa"],
    ),
]
Validity = Annotated[
    int,
    Field(
        strict=True,
        ge=MIN_VALIDITY,
        le=MAX_VALIDITY,
        description="The seconds that the provider may try to deliver a message, if its adapter knows it, but not"
        " beyond the message's deadline. Otherwise it is refused.",
        examples=[3600],
    ),
]


class MailingIn(BaseModel):
    """A new mailing."""

    model_config = ConfigDict(extra="forbid")

    starts_at: Instant
    expired_at: Instant
    text: MailingText
    filter: FilterIn
    window: LocalWindow | None = None
    rate: Rate | None = None
    name: Name | None = None
    kind: Kind = MailingKind.MARKETING
    sender_name: SenderName | None = None
    validity: Validity | None = None
    max_parts: MaxParts | None = None
    frequency_cap: FrequencyCap | None = None
    no_repeat: NoRepeat | None = None

    _ignore_read_only = model_validator(mode="before")(_without_read_only)


# Typed dictionaries, because their keys are exactly the fields that the caller sent.
class _FieldsWithoutTimes(TypedDict, total=False):
    text: MailingText
    filter: FilterIn
    window: LocalWindow | None
    rate: Rate | None
    name: Name | None
    kind: Kind
    sender_name: SenderName | None
    validity: Validity | None
    max_parts: MaxParts | None
    frequency_cap: FrequencyCap | None
    no_repeat: NoRepeat | None


@with_config(ConfigDict(extra="forbid"))
class MailingFields(_FieldsWithoutTimes, total=False):
    """New values of a mailing's fields. Fields that are left out keep their values."""

    starts_at: Instant
    expired_at: Instant


@with_config(ConfigDict(extra="forbid"))
class Duplicate(_FieldsWithoutTimes):
    """The times of a new mailing, and those of its other fields that differ from the mailing it is made from."""

    starts_at: Instant
    expired_at: Instant


MailingChange = Annotated[MailingFields, BeforeValidator(_without_read_only)]

if TYPE_CHECKING:
    RetryableStatus = MessageStatus
else:
    RetryableStatus = Literal[*RETRYABLE_STATUSES]


@with_config(ConfigDict(extra="forbid"))
class Retry(TypedDict):
    """The messages to send again, by status, and the mailing's new end."""

    status: Annotated[list[RetryableStatus], Field(min_length=1)]
    expired_at: Instant
