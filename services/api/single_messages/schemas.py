"""Body of the request for a single message."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.api.edge.ids import Id
from services.api.edge.instants import Instant
from services.api.edge.numbers import Number
from services.api.edge.texts import MessageText


class MessageIn(BaseModel):
    """A single message to a phone number or to a client. Give one of the two."""

    model_config = ConfigDict(extra="forbid")

    number: Number | None = Field(default=None, description="The phone number, whether or not a client has it.")
    client: Id | None = Field(default=None, description="A client's id, instead of a phone number.")
    text: MessageText
    expired_at: Instant | None = Field(
        default=None, description="Nothing is sent at or after this time. The default is 24 hours from now."
    )

    @model_validator(mode="after")
    def _names_one_recipient(self) -> "MessageIn":
        if (self.number is None) == (self.client is None):
            raise ValueError("must have either number or client")
        return self
