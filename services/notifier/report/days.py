"""Days of a time zone: their bounds, and the days whose report is due. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# Days that are reported late if no notifier ran when they were due. Older ones are not reported any more.
LATE_DAYS = 3
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayBounds:
    """First instant of a day, and the first instant after it. A day has 23 to 25 hours."""

    start: datetime
    end: datetime


def bounds(day: date, zone: ZoneInfo) -> DayBounds:
    """Return the bounds of a day in UTC."""
    return DayBounds(_instant(day, time(), zone), _instant(day + _DAY, time(), zone))


def last_due_day(now: datetime, at: time, zone: ZoneInfo) -> date:
    """Return the last day whose report is due: yesterday, or before the time `at` the day before that."""
    today = now.astimezone(zone).date()
    return today - _DAY if now >= _instant(today, at, zone) else today - 2 * _DAY


def due_days(last_due: date, last_reported: date | None) -> Iterator[date]:
    """Yield the days to report, oldest first.

    A recipient who never got a report gets the last one only. Else the missed days follow, up to LATE_DAYS.
    """
    first = last_due if last_reported is None else max(last_reported + _DAY, last_due - (LATE_DAYS - 1) * _DAY)
    while first <= last_due:
        yield first
        first += _DAY


def _instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the instant of a local time; the first one if the clock shows it twice.

    A time that the clock skips counts with the offset from before the change.
    """
    return datetime.combine(day, at, zone).astimezone(UTC)
