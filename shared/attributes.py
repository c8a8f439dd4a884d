"""Attributes of a client: a few named values for texts and filters. Pure.

A name begins with a letter and goes on with letters, digits, `_` and `-`. A value is a text, a number or a truth
value. An empty text and null are no values.
"""

import math
import re
from collections.abc import Mapping
from decimal import Decimal

import orjson

Value = str | int | float | bool
Attributes = dict[str, Value]

MOST = 20  # attributes of a client
LARGEST = 4096  # bytes of all of them as JSON
LONGEST_NAME = 50
HIGHEST_INTEGER = 2**53 - 1  # larger ones lose digits in many programs that read JSON
HIGHEST_FLOAT = 1e15

_NAME = re.compile(r"[^\W\d_][\w-]*")
# A number in the only form in which it is written out, so that `007` and `1.50` stay texts.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,14})(\.[0-9]{0,8}[1-9])?")
# Control characters, and the two separators of lines and paragraphs.
_CONTROL = re.compile("[\\x00-\\x1f\\x7f-\\x9f\u2028\u2029]")


def is_name(given: str) -> bool:
    """Return True if an attribute may have this name."""
    return len(given) <= LONGEST_NAME and _NAME.fullmatch(given) is not None


def parse_attributes(given: Mapping[str, Value | None]) -> Attributes:
    """Return the attributes without those that have no value. Raises ValueError."""
    for name in given:
        if not is_name(name):
            raise ValueError(
                f"has an attribute {name[:LONGEST_NAME]!r}: a name begins with a letter and has at most"
                f" {LONGEST_NAME} letters, digits, _ and -"
            )
    parsed = ((name, _parse_value(name, value)) for name, value in given.items() if value is not None)
    attributes = {name: value for name, value in parsed if value != ""}
    if len(attributes) > MOST:
        raise ValueError(f"must have at most {MOST} attributes")
    if len(orjson.dumps(attributes)) > LARGEST:
        raise ValueError(f"must have at most {LARGEST} bytes as JSON")
    return attributes


def parse_cell(given: str) -> Value:
    """Return the value of a cell of a CSV file: a number or a truth value if it is written like one."""
    cell = given.strip()
    if cell in {"true", "false"}:
        return cell == "true"
    if (found := _NUMBER.fullmatch(cell)) and cell != "-0":
        return float(cell) if found[2] else int(cell)
    return cell


def format_value(value: Value) -> str:
    """Return a value as a text or a CSV file shows it."""
    match value:
        case bool():
            return "true" if value else "false"
        case float():
            return format(Decimal(repr(value)), "f")
        case _:
            return str(value)


def _parse_value(name: str, value: Value) -> Value:
    match value:
        case str():
            text = value.strip()
            if not text.isprintable() and _CONTROL.search(text):
                raise ValueError(f"{name} must not contain a line break or another control character")
            return text
        case bool():
            return value
        case float() if not (math.isfinite(value) and abs(value) < HIGHEST_FLOAT):
            raise ValueError(f"{name} must be between -1e15 and 1e15")
        case int() if abs(value) > HIGHEST_INTEGER:
            raise ValueError(f"{name} must be between -{HIGHEST_INTEGER} and {HIGHEST_INTEGER}")
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
