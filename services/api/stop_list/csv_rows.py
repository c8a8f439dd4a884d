"""Parser of CSV files with entries of the stop list. Pure.

The header names `number`, and any of `scope`, `source` and `note`, in any order. Every line is a record: no field
has a line break, so a wrong quotation mark costs its line alone.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.api.edge.imports import Rejection
from services.api.edge.numbers import parse_number
from services.api.edge.refusals import Invalid
from services.api.edge.spreadsheets import unprotected
from services.api.stop_list.schemas import LONGEST_NOTE, LONGEST_SOURCE
from shared.ledger.stop_list import NewStop
from shared.stop_list import StopScope

COLUMNS = ("number", "scope", "source", "note")
MAX_REJECTIONS = 1_000  # rejected rows beyond are only counted
_NOT_UTF8 = "\N{REPLACEMENT CHARACTER}"


@dataclass(slots=True)
class ParsedStops:
    """Valid rows of a file, and the rejected ones."""

    rows: list[NewStop] = field(default_factory=list)
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    def reject(self, line: int, reason: str) -> None:
        """Count a rejected row, and keep its reason if there are not too many."""
        self.rejected += 1
        if len(self.rejections) < MAX_REJECTIONS:
            self.rejections.append(Rejection(line=line, reason=reason))


def parse_stops(body: bytes) -> ParsedStops:
    """Parse a file. Raises Invalid if its header is wrong."""
    lines = body.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")
    names = [name.strip().lower() for name in _fields(lines[0]) or ()]
    if "number" not in names or len(set(names)) < len(names) or not set(names) <= set(COLUMNS):
        raise Invalid("body", "must begin with a header: number, and any of scope, source and note")
    parsed = ParsedStops()
    for line, text in enumerate(lines[1:], 2):
        if not text.strip():
            continue
        values = _fields(text)
        if values is None:
            parsed.reject(line, "has a quotation mark in a wrong place")
        elif len(values) != len(names):
            parsed.reject(line, f"has {len(values)} fields and not {len(names)}")
        else:
            _add_row(parsed, line, dict(zip(names, values, strict=True)))
    return parsed


def _fields(line: str) -> Sequence[str] | None:
    """Return the fields of one line; None if it is no CSV."""
    try:
        return next(csv.reader([line], strict=True), [])
    except csv.Error:
        return None


def _add_row(parsed: ParsedStops, line: int, values: dict[str, str]) -> None:
    name = "number"
    try:
        number = parse_number(values["number"])
        name = "scope"
        scope = _parse_scope(values.get("scope", ""))
        name = "source"
        source = _parse_text(values.get("source", ""), LONGEST_SOURCE)
        name = "note"
        parsed.rows.append(NewStop(number, scope, source, _parse_text(values.get("note", ""), LONGEST_NOTE)))
    except ValueError as error:
        parsed.reject(line, f"{name}: {error}")


def _parse_scope(given: str) -> StopScope:
    try:
        return StopScope(given.strip().lower()) if given.strip() else StopScope.MARKETING
    except ValueError:
        raise ValueError("must be marketing or all; empty means marketing") from None


def _parse_text(given: str, longest: int) -> str:
    text = unprotected(given.strip())
    if len(text) > longest:
        raise ValueError(f"must have at most {longest} characters")
    if "\0" in text:
        raise ValueError("must not contain a NUL character")
    if _NOT_UTF8 in text:
        raise ValueError("is not UTF-8")
    return text
