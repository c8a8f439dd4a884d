"""Attributes of clients."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.attributes import (
    HIGHEST_INTEGER,
    MOST,
    Attributes,
    format_value,
    is_name,
    parse_attributes,
    parse_cell,
)

NAMES = st.from_regex(r"[^\W\d_][\w-]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), max_size=20)
NUMBERS = st.integers(-HIGHEST_INTEGER, HIGHEST_INTEGER) | st.floats(-1e14, 1e14)
ATTRIBUTES = st.dictionaries(NAMES, st.none() | st.booleans() | NUMBERS | TEXTS, max_size=MOST)


@given(ATTRIBUTES)
def test_parsed_attributes_have_values_and_are_parsed_again_to_the_same(given: dict[str, str | None]) -> None:
    parsed = parse_attributes(given)
    assert parse_attributes(json.loads(json.dumps(parsed))) == parsed
    assert set(parsed) == {name for name, value in given.items() if value is not None and str(value).strip()}


@given(st.booleans() | st.integers(-(10**14), 10**14) | st.decimals(-1000, 1000, places=3).map(float))
def test_a_value_in_a_file_is_read_as_it_was_written(value: float) -> None:
    (parsed,) = parse_attributes({"a": value}).values()
    read = parse_cell(format_value(parsed))
    assert (read, type(read)) == (parsed, type(parsed))


@pytest.mark.parametrize("cell", ["007", "1.50", "+7", "1e5", "True", "-0", "1,5", "1" * 16])
def test_a_cell_that_is_not_quite_a_number_stays_a_text(cell: str) -> None:
    assert parse_cell(cell) == cell


@pytest.mark.parametrize("name", ["", "1a", "_a", "a b", "a.b", "a|b", "a{", "a" * 51])
def test_a_name_must_fit_into_a_placeholder(name: str) -> None:
    assert not is_name(name)


@pytest.mark.parametrize(
    "given", [{"a": "x\ny"}, {"a": "x\0"}, {"a": 2**53}, {"a": 1e15}, {"a": float("nan")}, {"a": "я" * 2048}]
)
def test_values_have_bounds(given: Attributes) -> None:
    with pytest.raises(ValueError, match=r"must"):
        parse_attributes(given)
