"""Bodies of answers about messages."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.api.edge.pages import Next
from services.api.edge.principal import ShownNumberOrNone
from shared.statuses import MailingState, MessageStatus, Reason


class MessageOut(BaseModel):
    """The SMS to one client, or to one phone number."""

    id: int
    mailing_id: int | None = Field(description="Null for a single message, which belongs to no mailing.")
    client_id: int | None = Field(description="Null if the message went to a number that no client had.")
    number: ShownNumberOrNone = Field(
        description="The client's present number, or the number that a single message was sent to. Null if the"
        " client was deleted. Masked for viewers."
    )
    status: MessageStatus
    reason: Reason | None = Field(
        description="The reason for a final status that can have several. Expired: `window` (the client's local"
        " window did not open in time), `zone` (the client's time zone is unknown), `end` (`expired_at` came"
        " first). Canceled: `cancel` (the mailing was canceled), `client` (the client was deleted), `stopped` (the"
        " number is on the stop list). Failed or"
        " uncertain: `answer` (the provider's answer; see the attempts), `silence` (the sender sent no report)."
    )
    created_at: datetime = Field(description="The start of its mailing, when the audience was fixed.")
    settled_at: datetime | None = Field(description="When its status became final.")
    tries: int = Field(description="The number of deliveries to the provider so far.")


class MessagePage(BaseModel):
    """Messages of one mailing, by ascending client id."""

    items: list[MessageOut]
    next: Next


class AttemptOut(BaseModel):
    """One POST to the provider, or the reason why there was none."""

    at: datetime
    sender: str | None = Field(description="The sender process. Null if it is no longer known.")
    outcome: str = Field(examples=["accepted", "rejected", "deferred", "uncertain", "expired"])
    provider_status: int | None = Field(description="The HTTP status of the provider's answer.")
    provider_text: str | None = Field(description="The provider's answer, cut to 200 characters.")
    duration_ms: int | None = Field(description="The time from the POST to the answer, in milliseconds.")


class MessageDetail(MessageOut):
    """A message with its attempts, oldest first."""

    test_of: int | None = Field(
        description="The mailing whose text the message showed, if it was a test. Statistics do not count tests."
    )
    attempts: list[AttemptOut]


class HistoryItem(MessageDetail):
    """A message with its attempts and with the facts of its mailing that explain its status."""

    text: str = Field(description="The text of the SMS.")
    starts_at: datetime = Field(description="The start of its mailing.")
    expired_at: datetime = Field(description="The end of its mailing: nothing is sent at or after it.")
    state: MailingState = Field(description="The state of its mailing.")
    paused: bool = Field(description="True while its mailing is paused.")
    due_at: datetime | None = Field(
        description="The earliest time of the next attempt. Null if the message has a final status."
    )


class HistoryPage(BaseModel):
    """Messages to one person, newest first."""

    items: list[HistoryItem]
    next: Next
