"""Bodies of the requests for a single message and for tests of a mailing."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.api.edge.ids import Id
from services.api.edge.instants import Instant
from services.api.edge.numbers import Number
from services.api.edge.texts import MessageText
from services.api.messages.schemas import MessageDetail
from shared.stop_list import MailingKind


class MessageIn(BaseModel):
    """A single message to a phone number or to a client. Give one of the two."""

    model_config = ConfigDict(extra="forbid")

    number: Number | None = Field(default=None, description="The phone number, whether or not a client has it.")
    client: Id | None = Field(default=None, description="A client's id, instead of a phone number.")
    text: MessageText
    expired_at: Instant | None = Field(
        default=None, description="Nothing is sent at or after this time. The default is 24 hours from now."
    )

    kind: MailingKind = Field(
        default=MailingKind.SERVICE,
        description="A marketing message is not sent to a number on the stop list. A service message is not sent"
        " to a number that is stopped for `all`.",
    )

    @model_validator(mode="after")
    def _names_one_recipient(self) -> "MessageIn":
        if (self.number is None) == (self.client is None):
            raise ValueError("must have either number or client")
        return self


class TestOrder(BaseModel):
    """The phone numbers that get a test."""

    __test__ = False  # for pytest

    model_config = ConfigDict(extra="forbid")

    numbers: Annotated[list[Number], Field(min_length=1, max_length=10, examples=[["+7 905 700-30-50"]])]


class TestMessages(BaseModel):
    """The messages of a test, to follow them by their ids."""

    __test__ = False  # for pytest

    items: list[MessageDetail]
