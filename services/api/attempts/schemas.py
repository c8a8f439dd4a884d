"""Bodies of answers about attempts across mailings."""

from pydantic import BaseModel, Field

from services.api.edge.principal import ShownNumberOrNone
from services.api.messages.schemas import AttemptOut
from shared.statuses import MessageStatus


class AttemptItem(AttemptOut):
    """One POST to the provider, or the reason why there was none, with its message."""

    message_id: int
    mailing_id: int | None = Field(description="Null for a single message, which belongs to no mailing.")
    client_id: int | None = Field(description="Null if the message went to a number that no client had.")
    number: ShownNumberOrNone = Field(description="The number as of now. Masked for viewers.")
    status: MessageStatus = Field(description="The present status of the message.")


class AttemptPage(BaseModel):
    """Attempts, newest first."""

    items: list[AttemptItem]
    next: str | None = Field(
        description="Send it as `after` to get the next page. It is null on the last page.",
        examples=["1896087600081204-2"],
    )
