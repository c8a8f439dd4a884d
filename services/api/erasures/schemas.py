"""Answers about erasures."""

from datetime import datetime

from pydantic import BaseModel, Field

from services.api.edge.pages import Next


class ErasureOut(BaseModel):
    """The removal of one person from everything but counts."""

    id: int
    client_id: int = Field(description="The id that the client had.")
    requested_at: datetime
    finished_at: datetime | None = Field(
        description="When the last trace of the person was removed. Null as long as a message may still be"
        " sent, or a sender may still report on one."
    )
    messages: int = Field(description="The number of messages that were removed so far.")


class ErasurePage(BaseModel):
    """Erasures, newest first."""

    items: list[ErasureOut]
    next: Next
