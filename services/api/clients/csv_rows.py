"""Clients as rows of CSV: what a caller uploads → what is copied into the database, or why not. Pure.

The header names `number`, `tag` and `zone`, in any order; then a client in each row. Text is UTF-8. A row that is
wrong is rejected with its line, and stops none of the others.
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
MOST_REASONS = 1_000  # of rejected rows that are told of one by one; all are counted
LONGEST_RECORD = 64 * 1024  # characters; a quotation mark that is never closed must not swallow the file
LONGEST_TAG = 100
_NOT_UTF8 = "�"

# Beyond it csv raises, and loses its place. What a piece of a file can hold is within it, and then rejected by us.
csv.field_size_limit(2**31 - 1)


class Row(NamedTuple):
    """A client, and the line of the file where it begins."""

    line: int
    number: int
    tag: str
    zone: str


class Rejected(NamedTuple):
    """A row that was not taken."""

    line: int
    reason: str


@dataclass(slots=True)
class Parser:
    """Takes a file in pieces, as they come, and gives rows; keeps count of what it rejects."""

    rejected: list[Rejected] = field(default_factory=list)
    rejected_in_all: int = 0
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
    )
    _rest: str = ""
    _line: int = 0  # lines that are behind us
    _pick: Callable[[Sequence[str]], tuple[str, str, str]] | None = None
    _width: int = 0

    def feed(self, piece: bytes) -> list[Row]:
        """The rows that are complete by now. Raises Invalid when the header is not what it must be."""
        text = self._rest + self._decoder.decode(piece)
        end = _end_of_records(text)
        self._rest = text[end:]
        rows = list(self._rows(text[:end])) if end else []
        if len(self._rest) > LONGEST_RECORD:
            self._give_up_record()
        return rows

    def finish(self) -> list[Row]:
        """The rows of what is left. Raises Invalid when there was not even a header."""
        rows = list(self._rows(self._rest + self._decoder.decode(b"", final=True)))
        self._rest = ""
        if self._pick is None:
            raise Invalid("body", "must begin with a header that names number, tag and zone")
        return rows

    def _rows(self, text: str) -> Iterator[Row]:
        reader = csv.reader(io.StringIO(text, newline=""))
        begun = self._line
        before = 0
        for record in reader:
            line = begun + before + 1
            before = reader.line_num
            if self._pick is None:
                self._read_header(record)
            elif record:  # else a blank line
                row = self._row(line, record)
                if row is not None:
                    yield row
        self._line = begun + reader.line_num

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
        self.rejected_in_all += 1
        if len(self.rejected) < MOST_REASONS:
            self.rejected.append(Rejected(line, reason))

    def _give_up_record(self) -> None:
        """Skips the line with the quotation mark, and goes on behind it."""
        self._reject(
            self._line + 1, f"is longer than {LONGEST_RECORD} characters: is a quotation mark not closed?"
        )
        _, _, self._rest = self._rest.partition("\n")
        self._line += 1


def _parse_number(given: str) -> int:
    if len(given) == 11 and given[0] == "7" and given.isascii() and given.isdigit():  # nearly always
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
    """Where the last complete record ends: behind a line's end that is not between quotation marks."""
    end = text.rfind("\n") + 1
    while end and text.count('"', 0, end) % 2:
        # The last mark opens a field that goes on beyond: its record begins before it.
        end = text.rfind("\n", 0, text.rfind('"', 0, end)) + 1
    return end
