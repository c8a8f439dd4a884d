"""Numbers, instants and durations as people of a language and a time zone write them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale, dates, numbers, units

from shared.zones import find_zone

_LONG_AGO = timedelta(days=300)  # from here on, a date needs its year


@dataclass(frozen=True, slots=True)
class Formatter:
    """Formats values for one person. `now` is the instant at which the page is made."""

    locale: Locale
    zone: ZoneInfo
    now: datetime

    def number(self, value: float) -> str:
        """Return `48,213`, or `48 213` in Russian."""
        digits = "#,##0" if float(value).is_integer() or abs(value) >= 100 else "#,##0.##"
        return numbers.format_decimal(round(value, 2), format=digits, locale=self.locale)

    def percent(self, part: float, whole: float) -> str:
        """Return a share without rounding it up to all: 99.97 % of a mailing is not 100 %."""
        share = part / whole if whole else 0.0
        if 0 < share < 0.001:
            return f"<\u202f{self._percent(0.001, 1)}"
        if 0.99 < share < 1:
            return self._percent(min(share, 0.9999), 2)
        return self._percent(share, 1 if share < 0.1 else 0)

    def _percent(self, share: float, decimals: int) -> str:
        pattern = self.locale.percent_formats[None].pattern
        if decimals:
            pattern = pattern.replace("0", "0." + "#" * decimals)
        return numbers.format_percent(share, format=pattern, locale=self.locale)

    def instant(self, at: datetime) -> str:
        """Return day and time; the year only where it is not obvious."""
        skeleton = "yMMMd" if abs(at - self.now) > _LONG_AGO else "MMMEd"
        day = dates.format_skeleton(skeleton, at, tzinfo=self.zone, locale=self.locale)
        return f"{day}, {self.time(at)}"

    def day(self, day: date) -> str:
        """Return the day of the week and of the month: `Wed 25`."""
        return dates.format_skeleton("Ed", day, locale=self.locale)

    def time(self, at: datetime) -> str:
        """Return the time of day to the minute."""
        return dates.format_time(at, "HH:mm", tzinfo=self.zone, locale=self.locale)

    def time_there(self, zone: str) -> str | None:
        """Return the time of day now in another zone, or None if it is not known."""
        there = find_zone(zone)
        return (
            None if there is None else str(dates.format_time(self.now, "HH:mm", tzinfo=there, locale=self.locale))
        )

    def exact_time(self, at: datetime) -> str:
        """Return the time of day to the millisecond."""
        milliseconds = at.microsecond // 1000
        return f"{dates.format_time(at, 'HH:mm:ss', tzinfo=self.zone, locale=self.locale)}.{milliseconds:03}"

    def clock(self, at: datetime) -> str:
        """Return the time of day to the second; with the day, if it is another than today."""
        if at.astimezone(self.zone).date() != self.now.astimezone(self.zone).date():
            return self.instant(at)
        return str(dates.format_time(at, "HH:mm:ss", tzinfo=self.zone, locale=self.locale))

    def iso(self, at: datetime) -> str:
        """Return the instant for machines."""
        return at.astimezone(UTC).isoformat(timespec="seconds")

    def input(self, at: datetime) -> str:
        """Return the instant for an input of type datetime-local."""
        return at.astimezone(self.zone).replace(tzinfo=None).isoformat(timespec="minutes")

    def duration(self, length: timedelta) -> str:
        """Return the two largest units of a duration: `2 hr 5 min`."""
        seconds = max(0, round(length.total_seconds()))
        parts = list(_units(seconds))[:2] or [("second", 0)]
        return " ".join(_measured(f"duration-{unit}", count, self.locale) for unit, count in parts)

    def milliseconds(self, count: int) -> str:
        """Return `38 ms`."""
        return _measured("duration-millisecond", count, self.locale)

    def relative(self, at: datetime) -> str:
        """Return `in 12 minutes` or `3 hours ago`."""
        return dates.format_timedelta(at - self.now, add_direction=True, threshold=1.1, locale=self.locale)

    def zone_name(self) -> str:
        """Return the person's zone with its offset: `Europe/Moscow, UTC+3`."""
        offset = self.now.astimezone(self.zone).utcoffset() or timedelta()
        minutes = int(offset.total_seconds() // 60)
        shown = f"{abs(minutes) // 60}" + (f":{abs(minutes) % 60:02}" if minutes % 60 else "")
        return f"{self.zone.key}, UTC{'+' if minutes >= 0 else '−'}{shown}"

    def phone(self, number: int) -> str:
        """Return `+7 905 700-30-50`."""
        digits = str(number)
        if len(digits) != 11:
            return f"+{digits}"
        return f"+{digits[0]} {digits[1:4]} {digits[4:7]}-{digits[7:9]}-{digits[9:]}"


def _measured(unit: str, count: int, locale: Locale) -> str:
    return units.format_unit(count, unit, "short", format="#,##0", locale=locale)


def _units(seconds: int) -> Iterator[tuple[str, int]]:
    for unit, length in (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1)):
        count, seconds = divmod(seconds, length)
        if count:
            yield unit, count
