"""Parser of CSV files with clients: from the bytes of an upload to valid rows and rejected rows. Pure.

The header names `number`, `tag` and `zone`, in any order. Each further row is a client. The text is UTF-8. A wrong
row is rejected with its line number, and the others are imported.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from services.api.edge.numbers import parse_number
from services.api.edge.refusals import Invalid
from services.api.edge.zones import parse_zone

COLUMNS = ("number", "tag", "zone")
MAX_REJECTIONS = 1_000  # rejected rows beyond are only counted
LONGEST_RECORD = 64 * 1024  # characters; an unclosed quotation mark must not swallow the file
LONGEST_TAG = 100
_NOT_UTF8 = "�"

# Beyond this limit, csv raises and loses its position. No piece of a file is so long. We reject long fields.
csv.field_size_limit(2**31 - 1)


class Row(NamedTuple):
    """A client, and the line of the file where it begins."""

    line: int
    number: int
    tag: str
    zone: str


class Rejected(NamedTuple):
    """A row that is not imported."""

    line: int
    reason: str


@dataclass(slots=True)
class Parser:
    """Turns the pieces of a file into rows, and collects the rejected ones."""

    rejected: list[Rejected] = field(default_factory=list)
    rejected_count: int = 0
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    )
    _rest: str = ""
    _line: int = 0  # lines that are done
    _pick: Callable[[Sequence[str]], tuple[str, str, str]] | None = None
    _width: int = 0

    def feed(self, piece: bytes) -> list[Row]:
        """Return the rows that this piece completes. Raises Invalid if the header is wrong."""
        text = self._rest + self._decoder.decode(piece)
        end = _end_of_records(text)
        self._rest = text[end:]
        rows = list(self._rows(text[:end])) if end else []
        if len(self._rest) > LONGEST_RECORD:
            self._give_up_record()
        return rows

    def finish(self) -> list[Row]:
        """Return the rows of the rest. Raises Invalid if there was no header."""
        rows = list(self._rows(self._rest + self._decoder.decode(b"", final=True)))
        self._rest = ""
        if self._pick is None:
            raise Invalid("body", "must begin with a header that names number, tag and zone")
        return rows

    def _rows(self, text: str) -> Iterator[Row]:
        reader = csv.reader(io.StringIO(text, newline=""))
        start = self._line
        before = 0
        for record in reader:
            line = start + before + 1
            before = reader.line_num
            if self._pick is None:
                self._read_header(record)
            elif record:  # else a blank line
                row = self._row(line, record)
                if row is not None:
                    yield row
        self._line = start + reader.line_num

    def _read_header(self, record: list[str]) -> None:
        names = [name.strip().lower() for name in record]
        if sorted(names) != sorted(COLUMNS):
            raise Invalid("body", "must begin with a header that names number, tag and zone, and nothing else")
        places = [names.index(name) for name in COLUMNS]
        self._pick = lambda record: (record[places[0]], record[places[1]], record[places[2]])
        self._width = len(names)

    def _row(self, line: int, record: list[str]) -> Row | None:
        if len(record) != self._width:
            self._reject(line, f"has {len(record)} fields and not {self._width}")
            return None
        assert self._pick is not None
        number, tag, zone = self._pick(record)
        name = "number"
        try:
            parsed = _parse_number(number)
            name = "tag"
            tag = _parse_tag(tag)
            name = "zone"
            return Row(line, parsed, tag, parse_zone(zone.strip()))
        except ValueError as error:
            self._reject(line, f"{name}: {error}")
            return None

    def _reject(self, line: int, reason: str) -> None:
        self.rejected_count += 1
        if len(self.rejected) < MAX_REJECTIONS:
            self.rejected.append(Rejected(line, reason))

    def _give_up_record(self) -> None:
        """Skip the line with the quotation mark, and continue after it."""
        self._reject(
            self._line + 1, f"is longer than {LONGEST_RECORD} characters: is a quotation mark not closed?"
        )
        _, _, self._rest = self._rest.partition("\n")
        self._line += 1


def _parse_number(given: str) -> int:
    if len(given) == 11 and given[0] == "7" and given.isascii() and given.isdigit():  # the usual form
        return int(given)
    return parse_number(given)


def _parse_tag(given: str) -> str:
    tag = given.strip()
    if not tag:
        raise ValueError("must not be empty")
    if len(tag) > LONGEST_TAG:
        raise ValueError(f"must have at most {LONGEST_TAG} characters")
    if "\0" in tag:
        raise ValueError("must not contain a NUL character")
    if _NOT_UTF8 in tag:
        raise ValueError("is not UTF-8")
    return tag


def _end_of_records(text: str) -> int:
    """Return the end of the last complete record: after a line break that is not between quotation marks."""
    end = text.rfind("\n") + 1
    while end and text.count('"', 0, end) % 2:
        # The last mark opens a field that continues in the next piece. Its record begins before the mark.
        end = text.rfind("\n", 0, text.rfind('"', 0, end)) + 1
    return end
