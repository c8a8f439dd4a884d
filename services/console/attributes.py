"""Attributes of a client as a form shows them: a line for each, such as `name = Anna`. Pure."""

from collections.abc import Mapping

from services.console.forms import lines
from shared.attributes import Value, format_value, parse_cell


def attribute_lines(attributes: Mapping[str, Value]) -> str:
    """Return the attributes as lines."""
    return "\n".join(f"{name} = {format_value(value)}" for name, value in attributes.items())


def attributes_of(text: str) -> dict[str, Value]:
    """Return the attributes of the lines. What is wrong in them is left to the API to refuse."""
    parts = (line.partition("=") for line in lines(text))
    return {name.strip(): parse_cell(value) if mark else "?" for name, mark, value in parts}
