"""Place in the list of attempts: a time and a message, as callers get it and send it back. Pure."""

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from shared.contracts import INT64_MAX

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FORM = re.compile(r"([0-9]{1,17})-([0-9]{1,19})", re.ASCII)
_LATEST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


class Cursor(NamedTuple):
    """The attempts that come after it in the list are older, or of the same time and a lower message id."""

    at: datetime
    message_id: int

    def __str__(self) -> str:
        return f"{(self.at - _EPOCH) // _MICROSECOND}-{self.message_id}"


def parse_cursor(given: str) -> Cursor:
    """Parse what `str` of a cursor gave. Raises ValueError with a text for the caller."""
    match = _FORM.fullmatch(given)
    if match is None or int(match[1]) > _LATEST_US or int(match[2]) > INT64_MAX:
        raise ValueError("must be the value `next` of the page before")
    return Cursor(_EPOCH + int(match[1]) * _MICROSECOND, int(match[2]))
