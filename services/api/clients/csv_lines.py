"""Lines and fields of a CSV file that arrives in pieces. Pure.

A record is a line: no value of ours holds a line break. So a quotation mark that is not closed costs its own line,
and the next record begins after the next line break. The result depends neither on the pieces nor on the size of
the file.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

LONGEST_LINE = 64 * 1024  # bytes; the rest of a longer line is not kept

# A field in quotation marks, in which a doubled mark stands for one, or a field without any. The quantifier is
# possessive (`*+`), so that a line of marks only is read once.
_FIELD = re.compile(r'"(?P<quoted>(?:[^"]|"")*+)"|(?P<plain>[^",]*+)')
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class BrokenLine(ValueError):
    """Raised when a line is no CSV. The text is for the caller."""


class Line(NamedTuple):
    """A line of the file, without its end. `content` is None if the line is too long."""

    number: int
    content: bytes | None


@dataclass(slots=True)
class LineReader:
    """Cuts the pieces of a file into lines, which end with LF, CR LF or CR."""

    _rest: bytes = b""
    _number: int = 0  # lines that are done
    _is_too_long: bool = False  # the beginning of the line that `_rest` continues was dropped

    def feed(self, piece: bytes) -> Iterator[Line]:
        """Yield the lines that this piece completes."""
        data = self._rest + piece
        # A last CR may be the first half of a CR LF, so it waits for the next piece.
        held = b"\r" if data.endswith(b"\r") else b""
        data = data[: len(data) - len(held)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *lines, rest = data.split(b"\n")
        for content in lines:
            yield self._complete(content)
        if len(rest) > LONGEST_LINE:
            self._is_too_long = True
        self._rest = b"" if self._is_too_long else rest
        self._rest += held

    def finish(self) -> Iterator[Line]:
        """Yield the last line, if it has no end."""
        content = self._rest.removesuffix(b"\r")
        if self._rest or self._is_too_long:
            yield self._complete(content)
        self._rest = b""

    def _complete(self, content: bytes) -> Line:
        self._number += 1
        if self._number == 1:
            content = content.removeprefix(_BYTE_ORDER_MARK)
        is_too_long = self._is_too_long or len(content) > LONGEST_LINE
        self._is_too_long = False
        return Line(self._number, None if is_too_long else content)


def parse_fields(content: bytes | None) -> list[str]:
    """Return the fields of a line. Raises BrokenLine."""
    if content is None:
        raise BrokenLine(f"is longer than {LONGEST_LINE} bytes")
    try:
        line = content.decode()
    except UnicodeDecodeError:
        raise BrokenLine("is not UTF-8") from None
    return line.split(",") if '"' not in line else list(_quoted_fields(line))


def _quoted_fields(line: str) -> Iterator[str]:
    position = 0
    while True:
        field = _FIELD.match(line, position)
        assert field is not None  # because a field may be empty
        quoted = field["quoted"]
        if quoted is None and line.startswith('"', position):
            raise BrokenLine("has a quotation mark that is not closed on the same line")
        yield field["plain"] if quoted is None else quoted.replace('""', '"')
        position = field.end()
        if position == len(line):
            return
        if line[position] != ",":
            raise BrokenLine(
                "has a quotation mark inside a field: enclose the whole field in quotation marks, and double each"
                " mark inside"
            )
        position += 1
