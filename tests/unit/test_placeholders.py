"""Placeholders in texts, held against a parser that reads one character after the other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.attributes import Attributes, format_value, is_name
from shared.placeholders import LONGEST_VALUE, MOST_PLACEHOLDERS, BrokenPlaceholder, parse_template

# Texts that are nearly right, so that most rules are met.
TEXTS = st.lists(
    st.sampled_from(["{", "}", "|", "{{", "{name}", "{n|x}", "name", "n", "1", " ", "Привет", "😀"]), max_size=20
)
ATTRIBUTES = st.dictionaries(
    st.sampled_from(["name", "n"]), st.sampled_from(["Anna", "{n}", 3, 0.5, False, "я" * 300])
)


class Broken(Exception):
    """Raised by the slow parser, with the position of the brace."""


def slow_render(text: str, attributes: Attributes) -> str:
    shown, place = "", 0
    while place < len(text):
        character = text[place]
        if character != "{":
            shown, place = shown + character, place + 1
        elif text[place + 1 : place + 2] == "{":
            shown, place = shown + "{", place + 2
        else:
            end = place + 1
            while end < len(text) and text[end] not in "{}":
                end += 1
            if end == len(text) or text[end] == "{":
                raise Broken(place + 1)
            name, bar, fallback = text[place + 1 : end].partition("|")
            if not is_name(name):
                raise Broken(place + 1)
            shown += format_value(attributes[name])[:LONGEST_VALUE] if name in attributes else fallback * bool(bar)
            place = end + 1
    return shown


@given(TEXTS.map("".join), ATTRIBUTES)
def test_a_text_is_rendered_like_by_a_slow_parser(text: str, attributes: Attributes) -> None:
    try:
        wanted = slow_render(text, attributes)
    except Broken as broken:
        with pytest.raises(BrokenPlaceholder, match=f"at position {broken.args[0]} "):
            parse_template(text)
        return
    assert parse_template(text).render(attributes) == wanted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Hello {name|friend}!", "Hello Anna!"),
        ("Hello {surname|friend}!", "Hello friend!"),
        ("Hello{surname}!", "Hello!"),
        ("{{name} is {name}", "{name} is Anna"),
        ("a } b {{", "a } b {"),
        ("{name|}{visits| |x}", "Anna3"),
        ("{share} {paid}", "0.5 true"),
    ],
)
def test_placeholders_show_attributes(text: str, shown: str) -> None:
    attributes: Attributes = {"name": "Anna", "visits": 3, "share": 0.5, "paid": True}
    assert parse_template(text).render(attributes) == shown


@pytest.mark.parametrize(
    ("text", "position"), [("{", 1), ("Hi {}", 4), ("Hi {na me}", 4), ("{a}{b", 4), ("😀{1}", 2), ("{a|{b}}", 1)]
)
def test_a_broken_placeholder_is_refused_with_its_position(text: str, position: int) -> None:
    with pytest.raises(BrokenPlaceholder, match=f"at position {position} "):
        parse_template(text)


def test_a_text_has_a_bounded_number_of_placeholders() -> None:
    assert len(parse_template("{a}" * MOST_PLACEHOLDERS).placeholders) == MOST_PLACEHOLDERS
    with pytest.raises(BrokenPlaceholder, match="at most 20"):
        parse_template("{a}" * (MOST_PLACEHOLDERS + 1))
