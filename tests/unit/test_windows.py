"""When a zone's own clock is inside a window, in every zone there is and around every change of its clock."""

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.windows import Opening, Window, is_open, next_opening, openings
from shared.zones import find_zone, known_zones

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
YEARS = (datetime(2024, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC))
LAST = datetime.max.replace(tzinfo=UTC)

minutes_of_day = st.integers(0, 24 * 60 - 1)
instants = st.timedeltas(timedelta(0), 13 * 365 * DAY).map(lambda since: YEARS[0] + since)


def zone_of(name: str) -> ZoneInfo:
    zone = find_zone(name)
    assert zone is not None
    return zone


def clock(minute: int) -> time:
    return time(*divmod(minute % 1440, 60))


def window(written: str) -> Window:
    """Return the window that is written as `09:00-21:00`."""
    start, end = written.split("-")
    return Window(time.fromisoformat(start), time.fromisoformat(end))


def utc(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=UTC)


def slowly(window: Window, local: Iterable[time], begins: datetime) -> Iterator[Opening]:
    """The openings, found by looking at the clock every minute; one whose end is not seen is left out."""
    at, opening = begins, None
    for inside, minutes in groupby(shown_is_inside(window, shown) for shown in local):
        if opening is not None:
            yield opening
        ends = at + len(list(minutes)) * MINUTE
        opening = Opening(at, ends) if inside else None
        at = ends


def shown_is_inside(window: Window, shown: time) -> bool:
    if window.start < window.end:
        return window.start <= shown < window.end
    return shown >= window.start or shown < window.end


def changes(zone: ZoneInfo, begins: datetime, ends: datetime) -> Iterator[datetime]:
    """Yield the minutes at which the zone's offset from UTC changes."""
    at, offset = begins, begins.astimezone(zone).utcoffset()
    while at < ends:
        after = at + DAY
        if after.astimezone(zone).utcoffset() != offset:
            low, high = 0, 1440
            while high - low > 1:
                middle = (low + high) // 2
                same = (at + middle * MINUTE).astimezone(zone).utcoffset() == offset
                low, high = (middle, high) if same else (low, middle)
            yield at + high * MINUTE
        at, offset = after, after.astimezone(zone).utcoffset()


@cache
def clocks_around(change: datetime, before: timedelta, after: timedelta) -> Sequence[time]:
    """Return the times that the clock shows, by minute, from a day before the change to five days after."""
    offsets = [before] * 1440 + [after] * 5 * 1440
    return [(change - DAY + i * MINUTE + offset).time() for i, offset in enumerate(offsets)]


@pytest.mark.parametrize("name", sorted(known_zones()))
def test_around_every_change_of_every_clock_the_windows_are_those_that_the_clock_shows(name: str) -> None:
    zone, chance = zone_of(name), random.Random(name)
    for change in changes(zone, *YEARS):
        before, after = ((change + wait).astimezone(zone).utcoffset() for wait in (-MINUTE, timedelta(0)))
        assert before is not None
        assert after is not None
        local = clocks_around(change, before, after)
        shown = local[1440].hour * 60 + local[1440].minute
        for length in (1, chance.choice([15, 30, 60, 90]), chance.randrange(100, 1440)):
            start = shown + chance.randrange(-135, 136, 15)
            window = Window(clock(start), clock(start + length))
            for wait in (0, chance.randrange(1440, 1500), chance.randrange(2 * 1440)):
                begins = change - DAY + wait * MINUTE
                expected = next(slowly(window, local[wait:], begins))
                assert next_opening(window, zone, begins) == expected
                assert is_open(window, zone, begins) == (expected.begins == begins)


def distinct_zones() -> list[str]:
    """Return one name of each group of zones with the same rules: many names are only links."""
    data = files("tzdata") / "zoneinfo"
    return sorted({(data / name).read_bytes(): name for name in sorted(known_zones(), reverse=True)}.values())


@pytest.mark.parametrize("name", distinct_zones())
def test_until_2100_every_change_of_every_clock_opens_and_closes_windows_on_time(name: str) -> None:
    zone, chance = zone_of(name), random.Random(name)
    last = YEARS[1]
    for change in changes(zone, YEARS[1], datetime(2101, 1, 1, tzinfo=UTC)):
        is_close, last = change - last < 60 * DAY, change
        if not is_close and chance.random() > 0.1:  # most years are alike: some of them, and all odd ones
            continue
        start = chance.randrange(1440)
        window = Window(clock(start), clock(start + chance.randrange(60, 1380)))
        begins = (
            change - chance.randrange(1, 8 * 1440) * MINUTE
        )  # the change before may be among the days looked at
        local = ((begins + i * MINUTE).astimezone(zone).time() for i in range(10 * 1440))
        found = _openings_until(window, zone, begins, change + MINUTE)
        expected = slowly(window, local, begins)
        assert found == [next(expected) for _ in found]


def _openings_until(window: Window, zone: ZoneInfo, begins: datetime, last: datetime) -> list[Opening]:
    """Return the openings in whole, up to the first one that ends after `last`."""
    found: list[Opening] = []
    while not found or found[-1].ends <= last:
        found.append(next_opening(window, zone, found[-1].ends if found else begins))
    return found


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(known_zones())),
    minutes_of_day,
    st.integers(1, 24 * 60 - 1),
    instants,
)
def test_at_any_time_the_windows_are_those_that_the_clock_shows(
    name: str, start: int, length: int, begins: datetime
) -> None:
    zone, window = zone_of(name), Window(clock(start), clock(start + length))
    begins = begins.replace(second=0, microsecond=0)
    local = [(begins + i * MINUTE).astimezone(zone).time() for i in range(5 * 1440)]
    expected = list(slowly(window, local, begins))
    assert next_opening(window, zone, begins) == expected[0]
    assert is_open(window, zone, begins) == (expected[0].begins == begins)
    assert list(openings(window, zone, begins, expected[-1].ends)) == expected
    middle = expected[-1].begins + (expected[-1].ends - expected[-1].begins) / 2
    assert list(openings(window, zone, begins, middle))[-1].ends == middle
    assert list(openings(window, zone, begins, expected[-1].begins)) == expected[:-1]


@settings(deadline=None)
@given(
    st.sampled_from(sorted(known_zones())),
    st.times(),
    st.times(),
    instants,
)
def test_openings_are_right_to_the_microsecond(name: str, start: time, end: time, not_before: datetime) -> None:
    if start == end:
        return
    zone, window = zone_of(name), Window(start, end)
    opening = next_opening(window, zone, not_before)
    instant = timedelta(microseconds=1)
    assert not_before <= opening.begins < opening.ends
    assert is_open(window, zone, opening.begins)
    assert is_open(window, zone, opening.ends - instant)
    assert not is_open(window, zone, opening.ends)
    assert opening.begins == not_before or not is_open(window, zone, opening.begins - instant)


@pytest.mark.parametrize(
    ("name", "written", "not_before", "begins", "ends"),
    [
        ("UTC", "09:00-21:00", "2026-01-01 00:00", "2026-01-01 09:00", "2026-01-01 21:00"),
        ("UTC", "09:00-21:00", "2026-01-01 12:00:00.000001", "2026-01-01 12:00:00.000001", "2026-01-01 21:00"),
        ("UTC", "09:00-21:00", "2026-01-01 21:00", "2026-01-02 09:00", "2026-01-02 21:00"),
        ("Europe/Moscow", "09:00-21:00", "2026-06-01 00:00", "2026-06-01 06:00", "2026-06-01 18:00"),
        ("Europe/Moscow", "21:00-09:00", "2026-06-01 07:00", "2026-06-01 18:00", "2026-06-02 06:00"),
        ("Europe/Moscow", "21:00-09:00", "2026-06-01 00:00", "2026-06-01 00:00", "2026-06-01 06:00"),
        ("Asia/Kathmandu", "09:00-21:00", "2026-06-01 00:00", "2026-06-01 03:15", "2026-06-01 15:15"),
        ("Pacific/Apia", "09:00-21:00", "2026-06-01 00:00", "2026-06-01 00:00", "2026-06-01 08:00"),
        # Apia skipped a whole day, the 30th: its window that day never came.
        ("Pacific/Apia", "09:00-21:00", "2011-12-30 08:00", "2011-12-30 19:00", "2011-12-31 07:00"),
        # The clock is put back from 02:00 to 01:00: 01:30 to 02:00 comes twice, …
        ("America/New_York", "01:30-02:00", "2026-11-01 00:00", "2026-11-01 05:30", "2026-11-01 06:00"),
        ("America/New_York", "01:30-02:00", "2026-11-01 06:00", "2026-11-01 06:30", "2026-11-01 07:00"),
        # … and what holds both is one opening, an hour longer.
        ("America/New_York", "00:30-03:00", "2026-11-01 00:00", "2026-11-01 04:30", "2026-11-01 08:00"),
        # It is put forward from 02:00 to 03:00: 02:15 does not come.
        ("America/New_York", "02:15-02:45", "2026-03-08 00:00", "2026-03-09 06:15", "2026-03-09 06:45"),
        ("America/New_York", "01:30-02:00", "2026-03-08 00:00", "2026-03-08 06:30", "2026-03-08 07:00"),
        ("America/New_York", "01:30-03:30", "2026-03-08 00:00", "2026-03-08 06:30", "2026-03-08 07:30"),
        # What is closed only in the skipped hour is open through two days.
        ("America/New_York", "03:00-02:00", "2026-03-07 12:00", "2026-03-07 12:00", "2026-03-09 06:00"),
        # Lord Howe's clock goes by half an hour: 02:00 → 01:30, and 02:00 → 02:30.
        ("Australia/Lord_Howe", "01:30-02:00", "2026-04-04 12:00", "2026-04-04 14:30", "2026-04-04 15:30"),
        ("Australia/Lord_Howe", "02:00-02:30", "2026-10-03 12:00", "2026-10-04 15:00", "2026-10-04 15:30"),
        # In Ramadan the clock is an hour back.
        ("Africa/Casablanca", "09:00-21:00", "2026-02-14 00:00", "2026-02-14 08:00", "2026-02-14 20:00"),
        ("Africa/Casablanca", "09:00-21:00", "2026-02-16 00:00", "2026-02-16 09:00", "2026-02-16 21:00"),
        # In March 2024 Scoresbysund's winter offset became its summer offset: the clock went on.
        ("America/Scoresbysund", "09:00-21:00", "2024-03-30 00:00", "2024-03-30 10:00", "2024-03-30 22:00"),
        ("America/Scoresbysund", "09:00-21:00", "2024-04-01 00:00", "2024-04-01 10:00", "2024-04-01 22:00"),
    ],
)
def test_known_windows(name: str, written: str, not_before: str, begins: str, ends: str) -> None:
    found = next_opening(window(written), zone_of(name), utc(not_before))
    assert found == Opening(utc(begins), utc(ends))


def test_a_time_that_comes_twice_opens_twice_and_one_that_is_skipped_not_at_all() -> None:
    new_york, day = zone_of("America/New_York"), date(2026, 3, 8)
    autumn = list(openings(window("01:30-02:00"), new_york, utc("2026-11-01 00:00"), utc("2026-11-02 00:00")))
    assert [opening.begins.hour for opening in autumn] == [5, 6]
    spring = openings(window("02:15-02:45"), new_york, utc(f"{day} 00:00"), utc(f"{day + DAY} 00:00"))
    assert list(spring) == []


@pytest.mark.parametrize("name", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"])
@pytest.mark.parametrize("written", ["09:00-21:00", "00:00-23:59"])
def test_at_the_end_of_the_calendar_nothing_runs_over(name: str, written: str) -> None:
    zone = zone_of(name)
    assert next_opening(window(written), zone, LAST) == Opening(LAST, LAST)
    assert list(openings(window(written), zone, LAST - 3 * DAY, LAST))
    assert list(openings(window(written), zone, LAST, LAST)) == []
    first = datetime.min.replace(tzinfo=UTC)
    assert next_opening(window(written), zone, first).begins < first + DAY


def test_every_zone_of_the_package_is_found_and_nothing_else() -> None:
    assert len(known_zones()) > 550
    assert all(zone_of(name).key == name for name in known_zones())
    for unknown in ("Mars/Base", "", "Factory", "localtime", "europe/moscow", "../zones", "/etc/localtime"):
        assert find_zone(unknown) is None
