"""Bodies of answers with numbers of messages over time."""

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, create_model

from shared.statuses import FINAL_STATUSES, MessageStatus, Reason

_FINAL = tuple(status for status in MessageStatus if status in FINAL_STATUSES)


class Step(StrEnum):
    """Length of a period. A day begins at midnight of the given time zone."""

    HOUR = "hour"
    DAY = "day"


class _Counts(BaseModel):
    """Number of messages by final status."""

    if TYPE_CHECKING:

        def __getattr__(self, status: str) -> int: ...
        def __setattr__(self, status: str, count: int) -> None: ...


if TYPE_CHECKING:
    Counts = _Counts
else:  # a field for each status, so that a new one needs no line here
    Counts = create_model(
        "Counts",
        __base__=_Counts,
        __doc__=_Counts.__doc__,
        **{status: (int, Field(0, description=status.description)) for status in _FINAL},
    )


class Period(Counts):
    """Messages that got their final status in one hour or day."""

    at: datetime = Field(description="The beginning of the period.")


class ReasonCount(BaseModel):
    """Messages that were not sent, with the same status and reason."""

    status: MessageStatus
    reason: Reason | None
    messages: int


class MailingCounts(Counts):
    """Messages of one mailing that got their final status in the time."""

    mailing_id: int
    text: str = Field(description="The mailing's text.")


class Totals(Counts):
    """Number of all messages of all mailings by their present status."""

    new: int = Field(0, description=MessageStatus.NEW.description)
    active: int = Field(0, description=MessageStatus.ACTIVE.description)
    total: int = 0
    mailings: int = Field(description="The number of mailings.")


class Statistics(BaseModel):
    """Messages of all mailings and single messages."""

    totals: Totals
    single_messages: Counts = Field(description="Single messages that got their final status in the time.")
    messages: Counts = Field(
        description="Messages of mailings that got their final status in the time. A message that was retried is"
        " counted each time that it ended."
    )
    periods: list[Period] = Field(
        description="The same by hour or by day, single messages included, oldest first."
    )
    reasons: list[ReasonCount] = Field(
        description="Why messages were not sent in the time, the most frequent first."
    )
    mailings: list[MailingCounts] = Field(
        description="The mailings with the most messages in the time, at most 100 of them."
    )


class ProgressPoint(Counts):
    """Messages of a mailing that got their final status within one step."""

    at: datetime = Field(description="The beginning of the step.")


class Progress(BaseModel):
    """The course of a mailing."""

    step: int = Field(description="The length of a step in seconds. It grows with the length of the course.")
    points: list[ProgressPoint] = Field(description="The steps in which a message ended, oldest first.")


class Answer(BaseModel):
    """An answer of the provider, and how many of the messages looked at got it last."""

    provider_status: int | None
    provider_text: str | None
    messages: int


class ReasonDetail(ReasonCount):
    """Messages of a mailing that were not sent, with the same status and reason."""

    answers: list[Answer] = Field(
        description="What the provider answered, for the reason `answer`: the most frequent answers among the"
        " first 1,000 of these messages."
    )


class Reasons(BaseModel):
    """Why messages of a mailing were not sent, the most frequent reason first."""

    items: list[ReasonDetail]
