"""Limits of a mailing besides its start and end, as callers write them: a local window and a rate."""

import re
from collections.abc import Collection
from datetime import time
from enum import StrEnum
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
)

from shared.windows import EVERY_DAY, Window

_FORM = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


def parse_time_of_day(given: object) -> time:
    """Parse a time of day such as `09:00`. Raises ValueError."""
    if isinstance(given, time):
        return given
    if isinstance(given, str) and len(given) == 5 and re.match(_FORM, given):
        return time.fromisoformat(given)
    raise ValueError("must be a time of day from 00:00 to 23:59, like 09:00")


def _format_time_of_day(value: time) -> str:
    return f"{value:%H:%M}"


TimeOfDay = Annotated[
    time,
    BeforeValidator(parse_time_of_day, json_schema_input_type=Annotated[str, Field(pattern=_FORM)]),
    PlainSerializer(_format_time_of_day, return_type=str),
]
Rate = Annotated[
    float,
    Field(
        strict=True,
        ge=0.1,
        le=100_000,
        description="The largest number of messages per second, over all senders.",
        examples=[50],
    ),
]


MaxParts = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=20,
        description="The largest number of SMS parts of the text. A longer text is refused.",
        examples=[2],
    ),
]


class FrequencyCap(BaseModel):
    """The largest number of marketing messages that a client gets within some days, before this mailing's own."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"example": {"messages": 2, "days": 7}}
    )

    messages: Annotated[int, Field(strict=True, ge=1, le=1000)]
    days: Annotated[int, Field(strict=True, ge=1, le=30)]


NoRepeat = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=30,
        description="Who has got the same text within so many days does not get it again.",
        examples=[14],
    ),
]


class Weekday(StrEnum):
    """Day of the week, in the order of `datetime.weekday`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_WEEK = tuple(Weekday)


def _in_order(days: Collection[Weekday]) -> list[Weekday] | None:
    """Return the days in the order of the week, each once; None for all seven."""
    return None if len(set(days)) == len(_WEEK) else sorted(set(days), key=_WEEK.index)


_Days = Annotated[list[Weekday], Field(min_length=1, max_length=7), AfterValidator(_in_order)]


class LocalWindow(BaseModel):
    """The times at which a client may get a message, by the clock of the client's own time zone.

    A window begins at `from` and ends before `until`. It may go over midnight:
    from 21:00 until 09:00 is the night. With `days`, it begins on these days only.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"example": {"from": "09:00", "until": "21:00"}}
    )

    from_: TimeOfDay = Field(alias="from")
    until: TimeOfDay
    days: _Days | None = Field(
        default=None,
        exclude_if=lambda days: days is None,
        description="The days of the week on which the window opens. Left out: every day. A window over midnight"
        " belongs to the day on which it begins: a Friday from 21:00 until 09:00 ends on Saturday.",
        examples=[["mon", "tue", "wed", "thu", "fri"]],
    )

    @field_validator("until")
    @classmethod
    def _is_not_empty(cls, until: time, info: ValidationInfo) -> time:
        if until == info.data.get("from_"):
            raise ValueError("must not be the same as from; leave out the window to send at any time of day")
        return until

    def as_window(self) -> Window:
        """Return the window that `shared.windows` computes with."""
        days = EVERY_DAY if self.days is None else frozenset(map(_WEEK.index, self.days))
        return Window(self.from_, self.until, days)

    @classmethod
    def of(cls, window: Window | None) -> "LocalWindow | None":
        """Return the window as callers write it; None for none."""
        if window is None:
            return None
        days = _in_order([_WEEK[day] for day in window.days])
        return cls.model_validate({"from": window.start, "until": window.end, "days": days})
