"""Limits of a mailing besides its start and end, as callers write them: a local window and a rate."""

import re
from datetime import time
from typing import Annotated

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationInfo,
    field_validator,
)

from shared.windows import Window

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


class LocalWindow(BaseModel):
    """The times of day at which a client may get a message, by the clock of the client's own time zone.

    A window begins at `from` and ends before `until`. It may go over midnight:
    from 21:00 until 09:00 is the night.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_extra={"example": {"from": "09:00", "until": "21:00"}}
    )

    from_: TimeOfDay = Field(alias="from")
    until: TimeOfDay

    @field_validator("until")
    @classmethod
    def _is_not_empty(cls, until: time, info: ValidationInfo) -> time:
        if until == info.data.get("from_"):
            raise ValueError("must not be the same as from; leave out the window to send at any time of day")
        return until

    def as_window(self) -> Window:
        """Return the window that `shared.windows` computes with."""
        return Window(self.from_, self.until)
