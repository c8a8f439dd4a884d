"""SMS parts of a text by GSM 03.38 and UCS-2. Pure.

A text of the GSM alphabet has 160 septets in one part, or 153 in each of several. Any other text has 70 UTF-16
code units in one part, or 67 in each of several. A character of two units is never split between two parts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

_BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = frozenset("^{}\\[~]|€\f")


@dataclass(frozen=True, slots=True)
class Parts:
    """The encoding of a text, its length in units of that encoding, and the number of its parts."""

    encoding: Literal["GSM-7", "UCS-2"]
    units: int
    count: int
    left: int  # units until the next part begins
    foreign: str  # the characters that force UCS-2


def parts(text: str) -> Parts:
    """Return how a text is sent."""
    foreign = [character for character in text if character not in _BASIC and character not in _EXTENDED]
    if foreign:
        return _split("UCS-2", [1 if ord(character) < 0x10000 else 2 for character in text], 70, 67, foreign)
    return _split("GSM-7", [2 if character in _EXTENDED else 1 for character in text], 160, 153, foreign)


def _split(
    encoding: Literal["GSM-7", "UCS-2"], sizes: Sequence[int], alone: int, each: int, foreign: Sequence[str]
) -> Parts:
    units = sum(sizes)
    shown = "".join(dict.fromkeys(foreign))[:10]
    if units <= alone:
        return Parts(encoding, units, 1, alone - units, shown)
    count, filled = 1, 0
    for size in sizes:
        if filled + size > each:
            count, filled = count + 1, 0
        filled += size
    return Parts(encoding, units, count, each - filled, shown)
