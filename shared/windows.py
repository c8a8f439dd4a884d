"""Local windows: when a zone's own clock shows a time of day at which its clients may be written to. Pure.

What counts is what the clock shows: a time that comes twice, when it is put back, is inside both times; one that
is skipped, when it is put forward, is not there that day.

Reckoned in microseconds since 1970, so that nothing runs over at the end of the year 9999.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import takewhile
from zoneinfo import ZoneInfo

_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_STEP = 7 * _DAY  # no zone changes its offset twice in that time: of those now in force, none within a month

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_END = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
# Within a day of its bounds, datetime cannot say what a clock in another zone shows.
_FIRST_KNOWN = datetime.min.replace(tzinfo=UTC) + timedelta(days=1)
_LAST_KNOWN = datetime.max.replace(tzinfo=UTC) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Window:
    """Local times of day, the end excluded. It wraps around midnight if the end comes before the start; they are
    never the same."""

    start: time
    end: time


@dataclass(frozen=True, slots=True)
class Opening:
    """From one instant until another, the latter excluded; in UTC."""

    begins: datetime
    ends: datetime


def is_open(window: Window, zone: ZoneInfo, at: datetime) -> bool:
    """Whether the zone's clock is inside the window."""
    start, length = _bounds(window)
    local = _number(at) + _offset(zone, _number(at))
    return (local - start) % _DAY < length


def next_opening(window: Window, zone: ZoneInfo, not_before: datetime) -> Opening:
    """The first stretch of time, as long as it goes, during which the zone's clock is inside the window.

    Begins at `not_before` if the clock is inside then. What would lie after the year 9999 is cut to its last
    microsecond.
    """
    return next(_all_openings(window, zone, not_before))


def openings(window: Window, zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[Opening]:
    """All of them between two instants, and cut to these."""
    for opening in _all_openings(window, zone, begins):
        if opening.begins >= ends:
            return
        yield Opening(opening.begins, min(opening.ends, ends))


def offsets(zone: ZoneInfo, begins: datetime, ends: datetime) -> tuple[tuple[int, int, int], ...]:
    """Equal for zones whose clocks show the same all the time between two instants."""
    return tuple(takewhile(lambda span: span[0] < _number(ends), _spans(zone, _number(begins))))


def _all_openings(window: Window, zone: ZoneInfo, not_before: datetime) -> Iterator[Opening]:
    """Without end; after the last comes an empty one at the end of time."""
    begins = ends = _number(not_before)
    for piece_begins, piece_ends in _pieces(window, zone, begins):
        if piece_begins > ends:
            if begins < ends:
                yield Opening(_instant(begins), _instant(ends))
            begins = piece_begins
        ends = piece_ends
    if begins < ends:
        yield Opening(_instant(begins), _instant(ends))
    yield Opening(_instant(_END), _instant(_END))


def _pieces(window: Window, zone: ZoneInfo, at: int) -> Iterator[tuple[int, int]]:
    """What is inside, in order; pieces that belong together touch."""
    start, length = _bounds(window)
    for begins, ends, offset in _spans(zone, at):
        opens = begins - (begins + offset - start) % _DAY  # the last time before, or now
        while opens < ends:
            if opens + length > begins:
                yield max(opens, begins), min(opens + length, ends)
            opens += _DAY


def _spans(zone: ZoneInfo, at: int) -> Iterator[tuple[int, int, int]]:
    """Time from `at` on, in spans of one offset from UTC each: begin, end, offset."""
    offset = _offset(zone, at)
    while at < _END:
        ends = min(at + _STEP, _END)
        next_offset = _offset(zone, ends)
        if next_offset != offset:
            ends = _change(zone, at, ends)
        yield at, ends, offset
        at, offset = ends, next_offset


def _change(zone: ZoneInfo, before: int, after: int) -> int:
    """The instant between at which the offset changes: a whole second."""
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
    """When it opens, after midnight, and how long it stays open on a day of 24 hours."""
    start, end = _of_day(window.start), _of_day(window.end)
    return start, (end - start) % _DAY


def _of_day(clock: time) -> int:
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * _SECOND + clock.microsecond


def _offset(zone: ZoneInfo, at: int) -> int:
    known = min(max(_instant(at), _FIRST_KNOWN), _LAST_KNOWN)
    offset = known.astimezone(zone).utcoffset()
    assert offset is not None
    return offset // _MICROSECOND


def _number(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _instant(number: int) -> datetime:
    return _EPOCH + timedelta(microseconds=number)
