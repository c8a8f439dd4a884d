"""Parsing of CSV in pieces: clients, and rejected rows."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.clients.csv_rows import LONGEST_RECORD, MAX_REJECTIONS, Parser, Rejected, Row
from services.api.edge.refusals import Invalid

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


def test_fields_in_quotation_marks_may_hold_anything() -> None:
    rows, parser = parse(f'number,tag,zone\n79050000001,"a,""b""\nc",{MOSCOW}\n79050000002,#d,{MOSCOW}\n', size=7)
    assert rows == [Row(2, 79050000001, 'a,"b"\nc', MOSCOW), Row(4, 79050000002, "#d", MOSCOW)]
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


def test_invalid_utf8_and_a_nul_are_rejected() -> None:
    head = b"number,tag,zone\n"
    rows, parser = parse(head + b"79050000001,\xff,Europe/Moscow\n79050000002,a\0b,Europe/Moscow\n")
    assert rows == []
    assert [one.reason for one in parser.rejected] == [
        "tag: is not UTF-8",
        "tag: must not contain a NUL character",
    ]


def test_a_quotation_mark_that_is_not_closed_costs_its_line_only() -> None:
    good = "".join(f"{79050000000 + n},#t,{MOSCOW}\n" for n in range(5_000))
    rows, parser = parse(f'number,tag,zone\n79060000000,"#t,{MOSCOW}\n{good}', size=10_000)
    assert len(good) > LONGEST_RECORD
    assert [row.number for row in rows] == [79050000000 + n for n in range(5_000)]
    assert [one.line for one in parser.rejected] == [2]


def test_all_rejected_rows_are_counted_and_the_first_are_listed() -> None:
    _, parser = parse("number,tag,zone\n" + "x,y,z\n" * (MAX_REJECTIONS + 500))
    assert len(parser.rejected) == MAX_REJECTIONS
    assert parser.rejected_count == MAX_REJECTIONS + 500


@pytest.mark.parametrize(
    "content", ["", "number,tag\n", "79050000001,#a,Europe/Moscow\n", "number,tag,zone,zone\n"]
)
def test_without_the_header_nothing_is_imported(content: str) -> None:
    with pytest.raises(Invalid):
        parse(content)


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ufffd\r"), min_size=1, max_size=40)


@given(st.lists(texts.filter(str.strip), max_size=30), st.integers(1, 200))
def test_however_it_is_cut_into_pieces_the_rows_are_the_same(tags: list[str], size: int) -> None:
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(["number", "tag", "zone"])
    writer.writerows([79050000000 + n, tag, MOSCOW] for n, tag in enumerate(tags))
    rows, parser = parse(file.getvalue(), size)
    assert [(row.number, row.tag) for row in rows] == [
        (79050000000 + n, tag.strip()) for n, tag in enumerate(tags)
    ]
    assert parser.rejected == []


@given(st.binary(max_size=300), st.integers(1, 50))
def test_every_row_of_any_file_is_imported_or_rejected(content: bytes, size: int) -> None:
    rows, parser = parse(b"number,tag,zone\n" + content, size)
    assert all(isinstance(one, Rejected) for one in parser.rejected)
    assert len(parser.rejected) == parser.rejected_count
    assert all(row.line > 1 for row in rows)


def test_a_row_with_an_endless_field_is_rejected_like_any_other() -> None:
    endless = "x" * 200_000
    rows, parser = parse(f"number,tag,zone\n79050000001,{endless},{MOSCOW}\n79050000002,#b,{MOSCOW}\n")
    assert rows == [Row(3, 79050000002, "#b", MOSCOW)]
    assert parser.rejected == [Rejected(2, "tag: must have at most 100 characters")]
