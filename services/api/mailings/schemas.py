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
from services.api.edge.pages import Next
from services.api.edge.read_only import without
from services.api.edge.texts import MessageText, refuse_nul
from services.api.mailings.filters import FilterIn, NormalisedFilter
from services.api.mailings.limits import LocalWindow, Rate
from services.api.messages.schemas import MessageOut
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
    parts: int = Field(description="The number of SMS parts of the text, by which providers charge.")
    state: MailingState
    paused: bool
    stop: Literal["applied", "pending"] | None = Field(
        description="Of a paused or canceled mailing: `applied` if nothing more of it is sent, `pending` while a"
        " sender has not confirmed that. A sender that cannot be reached begins nothing new after a second. Null"
        " for any other mailing."
    )
    started_at: datetime | None = Field(description="When the audience was fixed and sending began.")
    finished_at: datetime | None = Field(description="When the last message got a final status.")
    messages_status: MessagesStatus


class MailingDetail(MailingOut):
    """A mailing with its first 100 messages."""

    messages: list[MessageOut]


class MailingPage(BaseModel):
    """Mailings, newest first."""

    items: list[MailingOut]
    next: Next


class TextParts(BaseModel):
    """The SMS parts of a text."""

    count: int
    encoding: Literal["GSM-7", "UCS-2"] = Field(
        description="A text of the GSM alphabet has 160 characters in one part, or 153 in each of several. Any"
        " other text has 70 or 67."
    )
    units: int = Field(description="The length in septets or in UTF-16 code units. `€` and `[` take two septets.")


class Preview(BaseModel):
    """A forecast of a mailing, if it were created now."""

    recipients: int
    by_zone: dict[str, int]
    by_code: dict[int, int]
    unknown_zones: int = Field(
        description="The number of recipients who would get nothing, because the mailing has a window and their"
        " time zone is unknown."
    )
    stopped: int = Field(
        description="The number of recipients who would get nothing, because their numbers are on the stop list."
    )
    text_parts: TextParts
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


_DECIDED_BY_CALLER = {"starts_at", "expired_at", "text", "filter", "window", "rate", "name", "kind"}
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


class MailingIn(BaseModel):
    """A new mailing."""

    model_config = ConfigDict(extra="forbid")

    starts_at: Instant
    expired_at: Instant
    text: MessageText
    filter: FilterIn
    window: LocalWindow | None = None
    rate: Rate | None = None
    name: Name | None = None
    kind: Kind = MailingKind.MARKETING

    _ignore_read_only = model_validator(mode="before")(_without_read_only)


# Typed dictionaries, because their keys are exactly the fields that the caller sent.
class _FieldsWithoutTimes(TypedDict, total=False):
    text: MessageText
    filter: FilterIn
    window: LocalWindow | None
    rate: Rate | None
    name: Name | None
    kind: Kind


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
