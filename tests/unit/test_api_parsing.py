"""Parsing of the values that callers write: numbers, zones, instants, filters."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from services.api.edge.instants import parse_instant
from services.api.edge.numbers import HIGHEST, LOWEST, parse_number
from services.api.edge.zones import parse_zone
from services.api.mailings.filters import FilterIn, NormalisedFilter, parse_code
from shared.zones import known_zones

numbers = st.integers(LOWEST, HIGHEST)
punctuation = st.text(" -().\u00a0\u2013", max_size=2)
FILTER = TypeAdapter(FilterIn)


def normalised(given: object) -> NormalisedFilter:
    return FILTER.validate_python(given).normalised()


@given(numbers)
def test_a_number_may_be_an_integer_or_digits(number: int) -> None:
    assert parse_number(number) == parse_number(str(number)) == parse_number(f"+{number}") == number


@given(numbers, st.lists(punctuation, min_size=12, max_size=12))
def test_punctuation_in_a_number_means_nothing(number: int, between: list[str]) -> None:
    digits = str(number)
    written = "+" + "".join(mark + digit for mark, digit in zip(between, digits, strict=False)) + between[-1]
    assert parse_number(written) == number


def test_the_usual_way_to_write_a_number_is_understood() -> None:
    assert parse_number("+7 (905) 700-30-50") == 79057003050


@pytest.mark.parametrize(
    "given",
    [
        "8 905 700 30 50",  # the way to dial inside Russia; +81 and +86 are other countries
        "7905700305",
        "790570030500",
        "+7+9057003050",
        "7905700305x",
        "٧٩٠٥٧٠٠٣٠٥٠",
        "",
        "7" * 5000,
        LOWEST - 1,
        HIGHEST + 1,
        10**30,
        79057003050.0,
        True,
        None,
        [79057003050],
    ],
)
def test_a_number_that_is_not_russian_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match="7XXXXXXXXXX"):
        parse_number(given)


@given(st.text() | st.integers() | st.floats() | st.booleans() | st.none())
def test_parsing_a_number_never_fails_in_another_way(given: object) -> None:
    with suppress(ValueError):
        assert LOWEST <= parse_number(given) <= HIGHEST


def test_every_known_zone_can_be_loaded() -> None:
    assert len(known_zones()) > 400
    for zone in known_zones():
        assert ZoneInfo(zone).utcoffset(datetime(2030, 1, 1)) is not None  # noqa: DTZ001 - local, whatever that is


@pytest.mark.parametrize("zone", ["", "Moscow", "europe/moscow", "../../etc/passwd", "Factory", "localtime", "\0"])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="IANA"):
        parse_zone(zone)


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),  # noqa: DTZ001 - offsets come apart
    st.sampled_from(["T", " "]),
    st.none() | st.integers(-14 * 60, 14 * 60),
)
def test_an_instant_is_the_same_however_it_is_written(local: datetime, separator: str, offset: int | None) -> None:
    aware = local.replace(tzinfo=UTC if offset is None else timezone(timedelta(minutes=offset)))
    parsed = parse_instant((local if offset is None else aware).isoformat(separator))
    assert parsed == aware
    assert parsed.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "given", ["2030-01-31T10:00:00Z", "2030-01-31 10:00z", "2030-01-31T13:00:00.000000001+03"]
)
def test_offsets_and_fractions_have_several_forms(given: str) -> None:
    assert parse_instant(given) == datetime(2030, 1, 31, 10, tzinfo=UTC)


def test_the_time_zone_of_the_host_means_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert parse_instant("2030-01-31T10:00:00") == datetime(2030, 1, 31, 10, tzinfo=UTC)
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    "given",
    [
        "2030-01-31",
        "2030-02-30T10:00:00",
        "2030-01-31x10:00:00",
        "2030-W05-4T10:00",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00",  # in UTC it is in the year 0
        "9999-12-31T23:59:59-14:00",
        "10000-01-01T00:00:00Z",
        "now",
        "",
        1900000000,
        1.9e9,
        True,
        None,
    ],
)
def test_an_invalid_instant_is_refused(given: object) -> None:
    with pytest.raises(ValueError, match=r"must be a date and a time|is not a date and time that exists"):
        parse_instant(given)


@given(st.text())
def test_parsing_an_instant_never_fails_in_another_way(given: str) -> None:
    with suppress(ValueError):
        parse_instant(given)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("905", {"code": [905]}),
        (" 905 ", {"code": [905]}),
        ("007", {"code": [7]}),
        (905, {"code": [905]}),
        ("#AzbukaVkusa", {"tag": ["#AzbukaVkusa"]}),
        (" #x ", {"tag": ["#x"]}),
        ("٩٠٥", {"tag": ["٩٠٥"]}),  # digits to Unicode, but no operator's code
        ({"tag": "905"}, {"tag": ["905"]}),
        ({"code": [906, "905", 906]}, {"code": [905, 906]}),
        ({"zone": ["Europe/Moscow"], "tag": list("gbcfade")}, {"tag": list("abcdefg"), "zone": ["Europe/Moscow"]}),
        ({"code": None, "tag": ["a"]}, {"tag": ["a"]}),
    ],
)
def test_a_filter_is_stored_in_one_form(given: object, kept: object) -> None:
    assert normalised(given) == kept
    assert normalised(normalised(given)) == kept


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ("", ("tag", 0)),
        ("9050", ("code", 0)),
        ({}, ()),
        ({"code": None}, ()),
        ({"code": []}, ("code",)),
        ({"code": [], "tag": ["a"]}, ("code",)),
        ({"code": [905, 1000]}, ("code", 1)),
        ({"code": [-1]}, ("code", 0)),
        ({"code": [True]}, ("code", 0)),
        ({"code": [905.0]}, ("code", 0)),
        ({"code": list(range(1001))}, ("code",)),
        ({"tag": ["a" * 101]}, ("tag", 0)),
        ({"tag": ["a\0"]}, ("tag", 0)),
        ({"tag": [None]}, ("tag", 0)),
        ({"zone": ["Mars/Base"]}, ("zone", 0)),
        ({"tags": ["a"]}, ("tags",)),
        (True, ("code", 0)),
        (1.5, ()),
        (None, ()),
        ([905], ()),
    ],
)
def test_a_filter_that_means_nothing_is_refused_with_the_field_at_fault(given: object, field: object) -> None:
    with pytest.raises(ValidationError) as raised:
        FILTER.validate_python(given)
    assert raised.value.errors()[0]["loc"] == field


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5))
def test_parsing_a_code_never_fails_in_another_way(given: object) -> None:
    with suppress(ValueError):
        assert 0 <= parse_code(given) <= 999
