"""Parsing of CSV in pieces: clients, and rejected rows."""

import csv
import io
import re
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.clients.csv_lines import LONGEST_LINE, BrokenLine, Line, LineReader, parse_fields
from services.api.clients.csv_rows import MAX_REJECTIONS, Defaults, Parser, Rejected, Row
from services.api.edge.refusals import Invalid
from services.api.edge.spreadsheets import FORMULA, unprotected

MOSCOW = "Europe/Moscow"


def parse(content: str | bytes, size: int = 1_000_000) -> tuple[list[Row], Parser]:
    written = content.encode() if isinstance(content, str) else content
    parser, rows = Parser(), []
    for start in range(0, len(written), size):
        rows += parser.feed(written[start : start + size])
    return rows + parser.finish(), parser


def test_rows_come_with_their_lines() -> None:
    rows, parser = parse(f"number,tag,zone\n79050000001,#a,{MOSCOW}\n\n+7 (905) 000-00-02, #b ,{MOSCOW}")
    assert rows == [Row(2, 79050000001, "#a", MOSCOW), Row(4, 79050000002, "#b", MOSCOW)]
    assert parser.rejected_count == 0


def test_columns_may_come_in_any_order_with_a_byte_order_mark_and_carriage_returns() -> None:
    rows, _ = parse(f"\ufeffZone, number,TAG\r\n{MOSCOW},79050000001,#a\r\n")
    assert rows == [Row(2, 79050000001, "#a", MOSCOW)]


def test_fields_in_quotation_marks_may_hold_commas_and_marks() -> None:
    rows, parser = parse(f'number,tag,zone\n79050000001,"a,""b""",{MOSCOW}\n79050000002,"#d","{MOSCOW}"', size=7)
    assert rows == [Row(2, 79050000001, 'a,"b"', MOSCOW), Row(3, 79050000002, "#d", MOSCOW)]
    assert parser.rejected == []


def test_a_wrong_row_is_rejected_with_its_line_and_the_others_are_imported() -> None:
    rows, parser = parse(
        "number,tag,zone\n"
        f"8905,#a,{MOSCOW}\n"
        f"79050000001,  ,{MOSCOW}\n"
        "79050000001,#a,Mars/Olympus\n"
        "79050000001,#a\n"
        f"79050000001,{'x' * 101},{MOSCOW}\n"
        f"79050000001,#a,{MOSCOW}\n"
    )
    assert rows == [Row(7, 79050000001, "#a", MOSCOW)]
    assert [(one.line, one.reason.split(":")[0]) for one in parser.rejected] == [
        (2, "number"),
        (3, "tag"),
        (4, "zone"),
        (5, "has 2 fields and not 3"),
        (6, "tag"),
    ]


def test_invalid_utf8_and_control_characters_are_rejected() -> None:
    head = b"number,tag,zone\n"
    rows, parser = parse(head + b"79050000001,\xff,Europe/Moscow\n79050000002,a\0b,Europe/Moscow\n")
    assert rows == []
    assert [one.reason for one in parser.rejected] == [
        "is not UTF-8",
        "tag: must not contain a line break or another control character",
    ]


def test_the_replacement_character_is_a_character_like_any_other() -> None:
    rows, _ = parse(f"number,tag,zone\n79050000001,\ufffd,{MOSCOW}\n")
    assert [row.tag for row in rows] == ["\ufffd"]


def test_two_quotation_marks_that_are_not_closed_cost_their_two_lines() -> None:
    good = [f"{79050000000 + n},#t,{MOSCOW}\n" for n in range(5_000)]
    first, second = f'79060000000,"#t,{MOSCOW}\n', f'79060000001,#t",{MOSCOW}\n'
    for size in (10_000, 10_000_000):
        rows, parser = parse(
            "number,tag,zone\n" + first + "".join(good[:100]) + second + "".join(good[100:]), size
        )
        assert [row.number for row in rows] == [79050000000 + n for n in range(5_000)]
        assert [(one.line, one.reason.partition(":")[0]) for one in parser.rejected] == [
            (2, "has a quotation mark that is not closed on the same line"),
            (103, "has a quotation mark inside a field"),
        ]


def test_a_line_of_thirty_megabytes_is_one_line() -> None:
    wrong = b"79050000001," + b"x" * 30_000_000 + b",Europe/Moscow\r\n"
    rows, parser = parse(b"number,tag,zone\r\n" + wrong + b"79050000002,#b,Europe/Moscow\r\n", size=262_144)
    assert rows == [Row(3, 79050000002, "#b", MOSCOW)]
    assert parser.rejected == [Rejected(2, f"is longer than {LONGEST_LINE} bytes")]


@pytest.mark.parametrize("marks", ['"', '"",', 'a"', ',"', '"\n'])
def test_many_quotation_marks_are_read_once(marks: str) -> None:
    for length in (LONGEST_LINE, 256 * 1024):
        began = time.process_time()
        parse("number,tag,zone\n" + marks * (length // len(marks)), size=262_144)
        assert time.process_time() - began < 2


def test_all_rejected_rows_are_counted_and_the_first_are_listed() -> None:
    _, parser = parse("number,tag,zone\n" + "x,y,z\n" * (MAX_REJECTIONS + 500))
    assert len(parser.rejected) == MAX_REJECTIONS
    assert parser.rejected_count == MAX_REJECTIONS + 500


def test_a_row_without_a_value_gets_the_default_and_the_file_may_lack_the_column() -> None:
    for content in ("number\n79050000001\n", "zone,number\n,79050000001\n", "number,tag,zone\n79050000001, ,\n"):
        parser = Parser(Defaults("#default", MOSCOW))
        assert [*parser.feed(content.encode()), *parser.finish()] == [Row(2, 79050000001, "#default", MOSCOW)]
    parser = Parser(Defaults(zone=MOSCOW))
    assert parser.feed(b"tag,number\n#own,79050000001\n") == [Row(2, 79050000001, "#own", MOSCOW)]
    with pytest.raises(Invalid, match="number, tag"):
        Parser(Defaults(zone=MOSCOW)).feed(b"number\n")


@pytest.mark.parametrize(
    "content", ["", "number,tag\n", "79050000001,#a,Europe/Moscow\n", "number,tag,zone,zone\n"]
)
def test_without_the_header_nothing_is_imported(content: str) -> None:
    with pytest.raises(Invalid):
        parse(content)


tags = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1, max_size=40)
fields = st.text(st.sampled_from('"", \r\n;a7\t\0\ufeffж'), max_size=12)
files = st.lists(fields, max_size=30).map("".join)


@given(st.lists(tags.filter(str.strip), max_size=30), st.integers(1, 200))
def test_however_it_is_cut_into_pieces_the_rows_are_the_same(tags: list[str], size: int) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["number", "tag", "zone"])
    writer.writerows([79050000000 + n, protected(tag), MOSCOW] for n, tag in enumerate(tags))
    rows, parser = parse(file.getvalue(), size)
    assert [(row.number, row.tag) for row in rows] == [
        (79050000000 + n, tag.strip()) for n, tag in enumerate(tags)
    ]
    assert parser.rejected == []


@given(st.text(st.sampled_from("'=+-@a \t"), max_size=6))
def test_a_cell_comes_back_unchanged_and_no_spreadsheet_runs_it(value: str) -> None:
    assert unprotected(protected(value)) == value
    assert not protected(value).startswith(("=", "+", "-", "@", "\t", "\r"))


def protected(value: str) -> str:
    """Return the cell that the export writes. The query does the same in SQL."""
    return f"'{value}" if re.match(FORMULA, value) else value


@given(st.binary(max_size=300), st.integers(1, 50))
def test_every_row_of_any_file_is_imported_or_rejected(content: bytes, size: int) -> None:
    rows, parser = parse(b"number,tag,zone\n" + content, size)
    assert all(isinstance(one, Rejected) for one in parser.rejected)
    assert len(parser.rejected) == parser.rejected_count
    assert all(row.line > 1 for row in rows)


@given(files, st.lists(st.integers(0, 400)), st.sampled_from([b"", b"x" * (LONGEST_LINE + 1)]))
def test_any_file_in_any_pieces_is_read_as_character_by_character(text: str, cuts: list[int], long: bytes) -> None:
    content = text.encode()
    content += long + content
    places = sorted({0, len(content), *(cut % (len(content) + 1) for cut in cuts)})
    reader = LineReader()
    lines: list[Line] = []
    for start, end in pairwise(places):
        lines += reader.feed(content[start:end])
    lines += reader.finish()
    assert [line.number for line in lines] == [*range(1, len(lines) + 1)]
    assert [fields_or_none(line.content) for line in lines] == slow_fields(content)


def fields_or_none(content: bytes | None) -> list[str] | None:
    try:
        return parse_fields(content)
    except BrokenLine:
        return None


def slow_fields(content: bytes) -> list[list[str] | None]:
    """Read a file by the rules, one character at a time: the fields of each line, None for a broken one."""
    text = content.decode("utf-8-sig")
    lines, line = [], ""
    for place, character in enumerate(text):
        if character in "\r\n":
            if not (character == "\n" and text[place - 1 : place] == "\r"):
                lines.append(line)
            line = ""
        else:
            line += character
    return [slow_line(one) for one in ([*lines, line] if line else lines)]


def slow_line(line: str) -> list[str] | None:
    if len(line.encode()) > LONGEST_LINE:
        return None
    fields, field, state = [], "", "start"
    for character in [*line, ","]:
        match state, character:
            case "start", '"':
                state = "quoted"
            case "quoted", '"':
                state = "mark"
            case "mark", '"':
                field, state = field + '"', "quoted"
            case "quoted", _:
                field += character
            case _, ",":
                fields.append(field)
                field, state = "", "start"
            case ("mark", _) | (_, '"'):
                return None
            case _:
                field, state = field + character, "plain"
    return fields if state == "start" else None
