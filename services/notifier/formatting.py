"""Numbers, days and times in mails, as people of a language write them. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from babel import Locale, dates, numbers


@dataclass(frozen=True, slots=True)
class Formatter:
    """Formats values for one language and time zone."""

    locale: Locale
    zone: ZoneInfo

    def number(self, value: float) -> str:
        """Return `48,213`, or `48 213` in Russian."""
        return numbers.format_decimal(round(value), locale=self.locale)

    def percent(self, part: float, whole: float) -> str:
        """Return a share without rounding it up to all: 99.97 % is not 100 %."""
        share = part / whole if whole else 0.0
        if 0.99 < share < 1:
            share = min(share, 0.9999)
        return numbers.format_percent(share, format=self._percent_pattern("0.##"), locale=self.locale)

    def change(self, share: float) -> str:
        """Return `+12%` or `−3%`."""
        sign = "+" if share > 0 else "−" if share < 0 else "±"
        shown = numbers.format_percent(abs(share), format=self._percent_pattern("#,##0"), locale=self.locale)
        return sign + shown

    def money(self, value: float, currency: str) -> str:
        """Return an amount of money."""
        return numbers.format_currency(value, currency, locale=self.locale)

    def day(self, day: date) -> str:
        """Return `Tuesday, November 24, 2026`."""
        return dates.format_date(day, "full", locale=self.locale)

    def short_day(self, day: date) -> str:
        """Return the number of the day in its month."""
        return dates.format_date(day, "d", locale=self.locale)

    def instant(self, at: datetime) -> str:
        """Return day and time in the zone."""
        day = dates.format_skeleton("MMMd", at, tzinfo=self.zone, locale=self.locale)
        return f"{day}, {self.time(at)}"

    def time(self, at: datetime) -> str:
        """Return the time of day in the zone."""
        return dates.format_time(at, "HH:mm", tzinfo=self.zone, locale=self.locale)

    def _percent_pattern(self, digits: str) -> str:
        """Return the language's own pattern with other digits: some write a space before the sign."""
        pattern: str = self.locale.percent_formats[None].pattern
        return pattern.replace("#,##0", digits)


def columns(values: Iterator[int] | list[int], height: int) -> list[int]:
    """Return heights of bars in pixels. A value that is not 0 has at least 2."""
    given = list(values)
    most = max(given, default=0)
    return [0 if value == 0 else max(2, round(value / most * height)) for value in given]
