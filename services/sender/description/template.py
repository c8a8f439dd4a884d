"""Placeholders in the texts of a description. Pure."""

import re
from collections.abc import Callable, Mapping

from pydantic import JsonValue

PLACEHOLDER = re.compile(r"\{([a-z_]+)(:integer)?\}")
OF_A_MESSAGE = frozenset({"id", "number", "text", "validity"})
OF_THE_ACCESS = frozenset({"token", "sender"})

Values = Mapping[str, str | int]


def check(text: str, allowed: frozenset[str]) -> None:
    """Raise ValueError for a placeholder that is not allowed here, and for a brace that belongs to none."""
    for name, _ in PLACEHOLDER.findall(text):
        if name not in allowed:
            raise ValueError(f"the placeholder {{{name}}} is not one of {', '.join(sorted(allowed))}")
    if "{" in (rest := PLACEHOLDER.sub("", text)) or "}" in rest:
        raise ValueError("a brace belongs to no placeholder such as {text}")


def is_constant(text: str) -> bool:
    """Return True if no placeholder depends on the message."""
    return all(name not in OF_A_MESSAGE for name, _ in PLACEHOLDER.findall(text))


def fill(text: str, values: Values, quote: Callable[[str], str] = str) -> str:
    """Return the text with its placeholders replaced, each value quoted."""
    return PLACEHOLDER.sub(lambda found: quote(str(values[found[1]])), text)


def fill_json(content: JsonValue, values: Values) -> JsonValue:
    """Return a JSON value with the placeholders in its strings replaced. `{number:integer}` becomes a number."""
    match content:
        case str():
            found = PLACEHOLDER.fullmatch(content)
            return int(values[found[1]]) if found and found[2] else fill(content, values)
        case list():
            return [fill_json(item, values) for item in content]
        case dict():
            return {name: fill_json(value, values) for name, value in content.items()}
        case _:
            return content


def strings_of(content: JsonValue) -> list[str]:
    """Return all strings of a JSON value."""
    match content:
        case str():
            return [content]
        case list():
            return [text for item in content for text in strings_of(item)]
        case dict():
            return [text for value in content.values() for text in strings_of(value)]
        case _:
            return []
