"""Parser of CSV files with clients: from the bytes of an upload to valid rows and rejected rows. Pure.

The header names `number`, `tag` and `zone`, in any order. Each further line is a client. A wrong line is rejected
with its number, and the others are imported.
"""

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from services.api.clients.csv_lines import BrokenLine, Line, LineReader, parse_fields
from services.api.edge.numbers import parse_number
from services.api.edge.refusals import Invalid
from services.api.edge.spreadsheets import unprotected
from services.api.edge.texts import parse_tag
from services.api.edge.zones import parse_zone

COLUMNS = ("number", "tag", "zone")
MAX_REJECTIONS = 1_000  # rejected rows beyond are only counted


class Row(NamedTuple):
    """A client, and its line in the file."""

    line: int
    number: int
    tag: str
    zone: str


class Defaults(NamedTuple):
    """Values for rows without one of their own. Without a default, the file must have the column."""

    tag: str | None = None
    zone: str | None = None


NO_DEFAULTS = Defaults()


class Rejected(NamedTuple):
    """A row that is not imported."""

    line: int
    reason: str


@dataclass(slots=True)
class Parser:
    """Turns the pieces of a file into rows, and collects the rejected ones."""

    defaults: Defaults = NO_DEFAULTS
    rejected: list[Rejected] = field(default_factory=list)
    rejected_count: int = 0
    _reader: LineReader = field(default_factory=LineReader)
    _pick: Callable[[Sequence[str]], tuple[str, str, str]] | None = None
    _width: int = 0

    def feed(self, piece: bytes) -> list[Row]:
        """Return the rows that this piece completes. Raises Invalid if the header is wrong."""
        return self._rows(self._reader.feed(piece))

    def finish(self) -> list[Row]:
        """Return the rows of the rest. Raises Invalid if there was no header."""
        rows = self._rows(self._reader.finish())
        if self._pick is None:
            raise Invalid("body", _header_complaint({*COLUMNS}))
        return rows

    def _rows(self, lines: Iterable[Line]) -> list[Row]:
        rows = []
        for number, content in lines:
            try:
                if self._pick is None:
                    self._read_header(parse_fields(content))
                elif content != b"":
                    rows.append(self._row(number, parse_fields(content)))
            except BrokenLine as error:
                if self._pick is None:
                    raise Invalid("body", f"has a header that {error}") from error
                self._reject(number, str(error))
        return rows

    def _read_header(self, record: list[str]) -> None:
        names = [name.strip().lower() for name in record]
        required = {"number", *(name for name, value in self.defaults._asdict().items() if value is None)}
        if len(set(names)) < len(names) or not required <= set(names) <= set(COLUMNS):
            raise Invalid("body", _header_complaint(required))
        self._width = len(names)
        # A column that the file lacks is read from behind the row, where there is an empty field.
        places = [names.index(name) if name in names else self._width for name in COLUMNS]
        self._pick = lambda record: (record[places[0]], record[places[1]], record[places[2]])

    def _row(self, line: int, record: list[str]) -> Row:
        if len(record) != self._width:
            raise BrokenLine(f"has {len(record)} fields and not {self._width}")
        assert self._pick is not None
        number, tag, zone = self._pick([*record, ""] if self._width < len(COLUMNS) else record)
        name = "number"
        try:
            parsed = _parse_number(number)
            name = "tag"
            tag = self.defaults.tag if self.defaults.tag and not tag.strip() else parse_tag(unprotected(tag))
            name = "zone"
            zone = zone.strip() or self.defaults.zone or ""
            return Row(line, parsed, tag, parse_zone(zone))
        except ValueError as error:
            raise BrokenLine(f"{name}: {error}") from error

    def _reject(self, line: int, reason: str) -> None:
        self.rejected_count += 1
        if len(self.rejected) < MAX_REJECTIONS:
            self.rejected.append(Rejected(line, reason))


def _header_complaint(required: AbstractSet[str]) -> str:
    needed = ", ".join(name for name in COLUMNS if name in required)
    return f"must begin with a header that names {needed}, and nothing but {', '.join(COLUMNS)}"


def _parse_number(given: str) -> int:
    if len(given) == 11 and given[0] == "7" and given.isascii() and given.isdigit():  # the usual form
        return int(given)
    return parse_number(unprotected(given))
