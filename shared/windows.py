"""Local windows: the times at which a zone's own clock shows a time of day inside a window. Pure.

The clock decides. A time of day that comes twice, when clocks are put back, is inside both times. A time that is
skipped, when clocks are put forward, does not come that day.

Instants are integers in microseconds since 1970, because `datetime` overflows near the end of the year 9999.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
# No zone changes its offset twice within this time. The shortest time between two changes until 2100 is seven
# days: Asia/Gaza and Asia/Hebron in 2040, 2054 and 2072, when Ramadan ends close to the end of summer time.
_STEP = 5 * _DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
# Within a day of its bounds, datetime cannot convert to another zone.
_FIRST_KNOWN = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_LAST_KNOWN = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Local times of day, from `start` until before `end`.

    The window wraps around midnight if the end comes before the start. The two are never equal.
    """

    start: time
    end: time

    @classmethod
    def from_columns(cls, start: time | None, end: time | None) -> "Window | None":
        """Return the window of a mailing's two columns; None if the mailing has no window."""
        return None if start is None or end is None else cls(start, end)


@dataclass(frozen=True, slots=True)
class Opening:
    """Time from `begins` until before `ends`, in UTC."""

    begins: datetime
    ends: datetime


def is_open(window: Window, zone: ZoneInfo, at: datetime) -> bool:
    """Return True if the zone's clock shows a time inside the window."""
    start, length = _bounds(window)
    local = _to_microseconds(at) + _offset(zone, _to_microseconds(at))
    return (local - start) % _DAY < length


def next_opening(window: Window, zone: ZoneInfo, not_before: datetime) -> Opening:
    """Return the first whole stretch of time during which the zone's clock is inside the window.

    It begins at `not_before` if the clock is inside the window then. Instants after the year 9999 become its last
    microsecond.
    """
    return next(_all_openings(window, zone, not_before))


def openings(window: Window, zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[Opening]:
    """Yield all openings between two instants, cut to these."""
    for opening in _all_openings(window, zone, begins):
        if opening.begins >= ends:
            return
        yield Opening(opening.begins, min(opening.ends, ends))


def offsets(zone: ZoneInfo, begins: datetime, ends: datetime) -> tuple[tuple[int, int, int], ...]:
    """Return a key that is equal for zones whose clocks agree at every moment between two instants."""
    return tuple(takewhile(lambda span: span[0] < _to_microseconds(ends), _spans(zone, _to_microseconds(begins))))


def _all_openings(window: Window, zone: ZoneInfo, not_before: datetime) -> Iterator[Opening]:
    """Yield openings without end; after the last one, an empty one at the end of time."""
    begins = ends = _to_microseconds(not_before)
    for piece_begins, piece_ends in _pieces(window, zone, begins):
        if piece_begins > ends:
            if begins < ends:
                yield Opening(_to_datetime(begins), _to_datetime(ends))
            begins = piece_begins
        ends = piece_ends
    if begins < ends:
        yield Opening(_to_datetime(begins), _to_datetime(ends))
    yield Opening(_to_datetime(_END), _to_datetime(_END))


def _pieces(window: Window, zone: ZoneInfo, at: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces of time inside the window, in order; adjacent pieces touch."""
    start, length = _bounds(window)
    for begins, ends, offset in _spans(zone, at):
        opens = begins - (begins + offset - start) % _DAY  # the latest opening that is not after `begins`
        while opens < ends:
            if opens + length > begins:
                yield max(opens, begins), min(opens + length, ends)
            opens += _DAY


def _spans(zone: ZoneInfo, at: int) -> Iterator[tuple[int, int, int]]:
    """Yield spans of constant offset from UTC, from `at` on: begin, end, offset."""
    offset = _offset(zone, at)
    while at < _END:
        ends = min(at + _STEP, _END)
        next_offset = _offset(zone, ends)
        if next_offset != offset:
            ends = _change(zone, at, ends)
        yield at, ends, offset
        at, offset = ends, next_offset


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """Return the instant between two at which the offset changes, which is a whole second."""
    old = _offset(zone, before)
    low, high = before // _SECOND, after // _SECOND
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle * _SECOND) == old:
            low = middle
        else:
            high = middle
    return high * _SECOND


def _bounds(window: Window) -> tuple[int, int]:
    """Return the opening after midnight, and the length on a day of 24 hours."""
    start, end = _time_of_day(window.start), _time_of_day(window.end)
    return start, (end - start) % _DAY


def _time_of_day(clock: time) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * _SECOND + clock.microsecond


def _offset(zone: ZoneInfo, at: int) -> int:
    known = min(max(_to_datetime(at), _FIRST_KNOWN), _LAST_KNOWN)
    offset = known.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // _MICROSECOND


def _to_microseconds(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _to_datetime(number: int) -> datetime:
    return _EPOCH + timedelta(microseconds=number)
