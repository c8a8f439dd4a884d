"""Instants as callers write them, parsed into aware datetimes in UTC."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field

# `datetime.fromisoformat` also accepts any character between date and time, dates without a time, and week dates.
# Some of these are ambiguous.
_FORM = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)


def parse_instant(given: object) -> datetime:
    """Parse ISO 8601, with `T` or a space between date and time; an instant without an offset is in UTC.

    Raises ValueError with a text for the caller.
    """
    if not isinstance(given, str) or len(given) > 40 or not _FORM.fullmatch(given.strip()):
        raise ValueError("must be a date and a time like '2030-01-31T10:00:00Z' or '2030-01-31 13:00:00+03:00'")
    try:
        parsed = datetime.fromisoformat(given.strip().upper())
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is not a date and time that exists in the years 1 to 9999, in UTC") from error


Instant = Annotated[
    datetime,
    BeforeValidator(parse_instant, json_schema_input_type=str),
    Field(examples=["2030-01-31T10:00:00Z", "2030-01-31 13:00:00+03:00"]),
]
