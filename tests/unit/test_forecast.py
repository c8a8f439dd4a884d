"""Forecasts: how many are late, and when the last message is sent."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.api.mailings.forecast import Forecast, forecast
from shared.pacing import FILL
from shared.windows import Window, is_open
from shared.zones import find_zone, known_zones

HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYTIME = Window(time(9), time(21))
LAST = datetime.max.replace(tzinfo=UTC)
ONE_A_SECOND = 1 / FILL  # this rate results in one message per second

zones = st.sampled_from(
    [
        "America/New_York",
        "Asia/Kathmandu",
        "Asia/Omsk",
        "Australia/Lord_Howe",
        "Europe/London",
        "Europe/Moscow",
        "Europe/Simferopol",  # its clock shows the same as Moscow's
        "Pacific/Apia",
    ]
)
clocks = st.integers(0, 24 * 60 - 1).map(lambda minute: time(*divmod(minute, 60)))
windows = st.builds(Window, clocks, clocks).filter(lambda window: window.start != window.end)


def slowly(
    by_zone: Mapping[str, int], window: Window | None, rate: float | None, begins: datetime, ends: datetime
) -> Forecast:
    """Forecast by a simulation of every minute."""
    minutes = int((ends - begins) / MINUTE)
    closes = {zone: closings(zone, window, begins, minutes) for zone in by_zone}
    left: dict[str, float] = dict(by_zone)
    speed = math.inf if rate is None else rate * FILL
    last = None
    for minute in range(minutes):
        room = speed * 60
        for zone in sorted((zone for zone in left if closes[zone][minute]), key=lambda zone: closes[zone][minute]):
            served = left[zone] if left[zone] <= room + 1e-6 else room
            left[zone] -= served
            room -= served
            if served:
                spent = 0 if rate is None else min(60 - room / speed, 60)
                last = begins + minute * MINUTE + timedelta(seconds=spent)
    return Forecast(0, math.ceil(sum(left.values()) - 1e-6), last)


def closings(name: str, window: Window | None, begins: datetime, minutes: int) -> list[int]:
    """Return for each minute the end of the opening that it is in, or 0 if it is in none."""
    zone = find_zone(name)
    assert zone is not None
    found = [0] * (minutes + 1)
    for minute in reversed(range(minutes)):
        if window is None or is_open(window, zone, begins + minute * MINUTE):
            found[minute] = found[minute + 1] or minute + 1
    return found[:-1]


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(zones, st.integers(1, 5_000), min_size=1, max_size=4).map(lambda by: dict(sorted(by.items()))),
    st.none() | windows,
    st.none() | st.floats(0.1, 10) | st.integers(1, 100).map(lambda per_minute: per_minute / 60 / FILL),
    st.integers(0, 10 * 1440),
    st.integers(1, 3 * 1440),
)
def test_the_forecast_equals_a_simulation_minute_by_minute(
    by_zone: dict[str, int], window: Window | None, rate: float | None, wait: int, lasts: int
) -> None:
    begins = (
        datetime(2026, 10, 24, tzinfo=UTC) + wait * MINUTE
    )  # clocks are put back on the 25th, and a week later
    found = forecast(by_zone, window, rate, begins, begins + lasts * MINUTE)
    expected = slowly(by_zone, window, rate, begins, begins + lasts * MINUTE)
    assert abs(found.late - expected.late) <= 1
    assert (found.finish is None) == (expected.finish is None)
    if found.finish and expected.finish:
        assert abs(found.finish - expected.finish) < timedelta(milliseconds=10)


def test_without_a_window_only_the_rate_counts() -> None:
    audience = {"Europe/Moscow": 1_000, "Asia/Omsk": 2_600}
    assert forecast(audience, None, ONE_A_SECOND, NOON, NOON + 2 * HOUR) == Forecast(0, 0, NOON + HOUR)
    assert forecast(audience, None, ONE_A_SECOND, NOON, NOON + HOUR / 2) == Forecast(0, 1_800, NOON + HOUR / 2)
    assert forecast(audience, None, None, NOON, NOON + HOUR) == Forecast(0, 0, NOON)


def test_without_a_rate_the_last_zone_to_open_is_the_end() -> None:
    audience = {"Asia/Vladivostok": 5, "Europe/Moscow": 7, "America/Denver": 9}
    opens = datetime(2026, 6, 1, 23, tzinfo=UTC)  # 09:00 in Vladivostok; Moscow is open at noon, Denver at 15:00
    assert forecast(audience, DAYTIME, None, NOON, NOON + 12 * HOUR) == Forecast(0, 0, opens)
    assert forecast(audience, DAYTIME, None, NOON, NOON + 6 * HOUR) == Forecast(0, 5, NOON + 3 * HOUR)


def test_zones_that_close_first_come_first() -> None:
    audience = {"Europe/Moscow": 3_600, "Asia/Novosibirsk": 3_600}  # Novosibirsk closes at 14:00
    found = forecast(audience, DAYTIME, ONE_A_SECOND, NOON, NOON + 6 * HOUR)
    assert found == Forecast(0, 0, NOON + 2 * HOUR)


def test_messages_that_a_window_has_no_time_for_are_sent_when_it_opens_again() -> None:
    evening = NOON + 5 * HOUR  # an hour before Moscow closes
    found = forecast({"Europe/Moscow": 5_400}, DAYTIME, ONE_A_SECOND, evening, evening + 24 * HOUR)
    assert found == Forecast(0, 0, datetime(2026, 6, 2, 6, 30, tzinfo=UTC))


def test_clients_of_unknown_zones_are_counted_only_where_their_clock_matters() -> None:
    audience = {"Mars/Base": 3, "Europe/Moscow": 2}
    assert forecast(audience, DAYTIME, None, NOON, NOON + HOUR) == Forecast(3, 0, NOON)
    assert forecast(audience, None, None, NOON, NOON + HOUR) == Forecast(0, 0, NOON)
    assert forecast({"Mars/Base": 3}, DAYTIME, 1, NOON, NOON + HOUR) == Forecast(3, 0, None)


@pytest.mark.parametrize("window", [None, DAYTIME])
def test_an_empty_audience_is_never_late(window: Window | None) -> None:
    assert forecast({}, window, 1, NOON, NOON + HOUR) == Forecast(0, 0, None)


@pytest.mark.parametrize("window", [None, DAYTIME])
def test_the_forecast_ends_after_a_year(window: Window | None) -> None:
    everywhere = dict.fromkeys(known_zones(), 100_000)
    assert forecast(everywhere, window, 0.1, NOON, LAST) == Forecast(0, 0, None)
    assert forecast(everywhere, window, 100_000, NOON, LAST).finish is not None


@pytest.mark.parametrize("window", [None, DAYTIME])
def test_at_the_end_of_the_calendar_nothing_runs_over(window: Window | None) -> None:
    everywhere = dict.fromkeys(known_zones(), 100)
    found = forecast(everywhere, window, 1, LAST - HOUR, LAST)
    assert found.late > 0
    assert found.finish == LAST
