"""Instants as callers write them → aware datetimes in UTC."""

import re
from datetime import UTC, datetime

# `datetime.fromisoformat` takes any character between date and time, dates alone and week dates: more than
# can be meant unambiguously.
_FORM = re.compile(
    r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?(Z|[+-]\d{2}(:?\d{2})?)?",
    re.ASCII | re.IGNORECASE,
)


def parse_instant(given: object) -> datetime:
    """ISO 8601, with `T` or a space between date and time; without an offset it is UTC.

    Raises ValueError, with a text for the caller.
    """
    if not isinstance(given, str) or len(given) > 40 or not _FORM.fullmatch(given.strip()):
        raise ValueError("must be a date and a time like '2030-01-31T10:00:00Z' or '2030-01-31 13:00:00+03:00'")
    try:
        written = datetime.fromisoformat(given.strip().upper())
        return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("is not a date and time that exists in the years 1 to 9999, in UTC") from error
