"""Placeholders in the text of a mailing: `Hello {name|friend}`. Pure.

`{name}` stands for an attribute of the client, and `{name|friend}` for `friend` if the client has no such value.
`{{` stands for a brace. A `}` that closes nothing stands for itself.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from shared.attributes import Value, format_value, is_name

MOST_PLACEHOLDERS = 20  # in a text
LONGEST_VALUE = 200  # characters of a value that a text shows

_TOKEN = re.compile(r"\{\{|\{(?P<inside>[^{}]*)\}|\{")


class BrokenPlaceholder(ValueError):
    """Raised for a text with a brace that begins no placeholder. The text of the error names the position."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """The attribute that the text shows, and what stands there if the client has none. Positions begin at 1."""

    name: str
    fallback: str | None
    position: int


@dataclass(frozen=True, slots=True)
class Template:
    """A text, cut into plain pieces and placeholders."""

    pieces: Sequence[str | Placeholder]

    @property
    def placeholders(self) -> list[Placeholder]:
        """Return the placeholders in the order of the text."""
        return [piece for piece in self.pieces if isinstance(piece, Placeholder)]

    def render(self, attributes: Mapping[str, Value]) -> str:
        """Return the text for a client with these attributes."""
        return "".join(
            piece if isinstance(piece, str) else _shown(attributes.get(piece.name), piece.fallback)
            for piece in self.pieces
        )


def render_plain(text: str) -> str:
    """Return a valid text as a client without attributes gets it."""
    return parse_template(text).render({}) if has_braces(text) else text


def has_braces(text: str) -> bool:
    """Return True if the text must be parsed before it is sent."""
    return "{" in text


@lru_cache(maxsize=256)
def parse_template(text: str) -> Template:
    """Parse a text. Raises BrokenPlaceholder."""
    pieces: list[str | Placeholder] = []
    end = 0
    for found in _TOKEN.finditer(text):
        pieces.append(text[end : found.start()])
        end = found.end()
        if found[0] == "{{":
            pieces.append("{")
        else:
            pieces.append(_parse_placeholder(found["inside"], found.start() + 1))
    template = Template([piece for piece in (*pieces, text[end:]) if piece != ""])
    if len(template.placeholders) > MOST_PLACEHOLDERS:
        raise BrokenPlaceholder(f"must have at most {MOST_PLACEHOLDERS} placeholders")
    return template


def _parse_placeholder(inside: str | None, position: int) -> Placeholder:
    if inside is None:
        raise BrokenPlaceholder(
            f"has a brace at position {position} that no brace closes: write {{{{ for a brace in the text"
        )
    name, bar, fallback = inside.partition("|")
    if not is_name(name):
        raise BrokenPlaceholder(
            f"has a placeholder at position {position} without the name of an attribute, such as {{name}} or"
            " {name|friend}: write {{ for a brace in the text"
        )
    return Placeholder(name, fallback if bar else None, position)


def _shown(value: Value | None, fallback: str | None) -> str:
    return fallback or "" if value is None else format_value(value)[:LONGEST_VALUE]
