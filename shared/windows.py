"""Local windows: the times at which a zone's own clock shows a day and a time of day inside a window. Pure.

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
_FIRST_WEEKDAY = 3  # the first of January 1970 was a Thursday
EVERY_DAY = frozenset(range(7))
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
    """Local times of day, from `start` until before `end`, on some days of the week.

    The window wraps around midnight if the end comes before the start. The two are never equal. It belongs to the
    day on which it begins. `days` are as `datetime.weekday` counts them: 0 is Monday. With a `bound`, only the
    times that are inside both windows count.
    """

    start: time
    end: time
    days: frozenset[int] = EVERY_DAY
    bound: "Window | None" = None  # open on every day

    @property
    def never_opens(self) -> bool:
        """True if no time of day is inside both the window and its bound."""
        if self.bound is None:
            return False
        (start, length), (outer_start, outer_length) = _bounds(self), _bounds(self.bound)
        return (start - outer_start) % _DAY >= outer_length and (outer_start - start) % _DAY >= length

    @classmethod
    def from_columns(cls, start: time | None, end: time | None, day_bits: int | None) -> "Window | None":
        """Return the window of a mailing's columns; None if the mailing has no window."""
        if start is None or end is None:
            return None
        if day_bits is None:
            return cls(start, end)
        return cls(start, end, frozenset(day for day in EVERY_DAY if day_bits >> day & 1))

    @property
    def day_bits(self) -> int | None:
        """The days as bits, Monday the lowest; None for every day."""
        return None if self.days == EVERY_DAY else sum(1 << day for day in self.days)


@dataclass(frozen=True, slots=True)
class Opening:
    """Time from `begins` until before `ends`, in UTC."""

    begins: datetime
    ends: datetime


def is_open(window: Window, zone: ZoneInfo, at: datetime) -> bool:
    """Return True if the zone's clock shows a time inside the window."""
    if window.bound is not None and not is_open(window.bound, zone, at):
        return False
    start, length = _bounds(window)
    local = _to_microseconds(at) + _offset(zone, _to_microseconds(at))
    return (local - start) % _DAY < length and _weekday(local - start) in window.days


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
    if window.never_opens:
        yield Opening(_to_datetime(_END), _to_datetime(_END))
        return
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
    """Yield the pieces of time inside the window and its bound, in order; adjacent pieces touch."""
    own = _own_pieces(window, zone, at)
    return own if window.bound is None else _common(own, _own_pieces(window.bound, zone, at))


def _common(first: Iterator[tuple[int, int]], second: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the pieces of time that are in both."""
    one, other = next(first, None), next(second, None)
    while one is not None and other is not None:
        begins, ends = max(one[0], other[0]), min(one[1], other[1])
        if begins < ends:
            yield begins, ends
        if one[1] <= other[1]:
            one = next(first, None)
        else:
            other = next(second, None)


def _own_pieces(window: Window, zone: ZoneInfo, at: int) -> Iterator[tuple[int, int]]:
    """Yield the pieces of time inside the window itself, in order; adjacent pieces touch."""
    start, length = _bounds(window)
    for begins, ends, offset in _spans(zone, at):
        opens = begins - (begins + offset - start) % _DAY  # the latest opening that is not after `begins`
        while opens < ends:
            if opens + length > begins and _weekday(opens + offset - start) in window.days:
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


def _weekday(local: int) -> int:
    """Return the day of the week of a local time, in microseconds; 0 is Monday."""
    return (local // _DAY + _FIRST_WEEKDAY) % 7


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
