"""Answers are read from bytes, however they are cut and whatever a server sends."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.http.exchange import BODY_LIMIT, Answer
from services.sender.http.reading import ANSWER_LIMIT, HEAD_LIMIT, AnswerReader, BadAnswer

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1;x=y\r\nk\r\n0\r\nTrailer: 1\r\n\r\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nRetry-After: 9\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


def read(*pieces: bytes) -> AnswerReader:
    reader = AnswerReader()
    for piece in pieces:
        if reader.feed(piece):
            break
    return reader


@given(st.sampled_from([PLAIN, CHUNKED, INTERIM * 3 + PLAIN, EMPTY]), st.data())
def test_an_answer_is_the_same_however_its_bytes_are_cut(wire: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, len(wire) - 1), max_size=10)))
    pieces = [wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    reader = read(*pieces)
    assert reader.is_complete
    assert reader.is_reusable
    assert reader.answer == (Answer(204, b"") if wire is EMPTY else Answer(200, b"ok"))


@given(st.binary(max_size=400) | st.binary(max_size=200).map(lambda junk: PLAIN[:30] + junk))
def test_any_bytes_give_an_answer_or_a_bad_answer_or_nothing_yet(junk: bytes) -> None:
    reader = AnswerReader()
    with suppress(BadAnswer):
        assert reader.feed(junk) == reader.is_complete


def test_several_answers_follow_each_other_on_one_connection() -> None:
    reader = AnswerReader()
    for status in (200, 429, 503):
        reader.start()
        assert reader.feed(b"HTTP/1.1 %d X\r\nContent-Length: 1\r\nRetry-After: %d\r\n\r\nx" % (status, status))
        assert reader.answer == Answer(status, b"x", str(status))


@pytest.mark.parametrize(
    ("head", "reusable"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive", True),
    ],
)
def test_a_connection_is_used_again_as_the_server_says(head: bytes, reusable: bool) -> None:
    reader = read(head + b"\r\n\r\nok")
    assert (reader.answer, reader.is_reusable) == (Answer(200, b"ok"), reusable)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_body_without_a_length_ends_with_the_connection(version: bytes) -> None:
    reader = AnswerReader()
    assert not reader.feed(b"HTTP/%b 200 OK\r\n\r\nok" % version)
    assert reader.end()
    assert (reader.answer, reader.is_reusable) == (Answer(200, b"ok"), False)


@pytest.mark.parametrize("cut", [5, 30, len(PLAIN) - 1])
def test_a_connection_that_ends_early_completes_nothing(cut: int) -> None:
    reader = AnswerReader()
    assert not reader.feed(PLAIN[:cut])
    assert not reader.end()


def test_a_chunked_body_that_ends_early_is_not_complete() -> None:
    reader = AnswerReader()
    assert not reader.feed(CHUNKED[:-2])
    assert not reader.end()


@pytest.mark.parametrize("framing", [b"Content-Length: 1000000", b"Transfer-Encoding: chunked", b"X: y"])
def test_only_the_beginning_of_a_giant_body_is_kept(framing: bytes) -> None:
    reader = AnswerReader()
    reader.feed(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
    piece = b"400\r\n" + b"x" * 1024 + b"\r\n" if b"chunked" in framing else b"x" * 1024
    fed = 0
    while not reader.feed(piece):
        fed += 1
    assert fed == BODY_LIMIT // 1024
    assert (reader.answer, reader.is_reusable) == (Answer(200, b"x" * BODY_LIMIT), False)


@pytest.mark.parametrize(
    ("begin", "more", "limit"),
    [
        (b"", INTERIM, HEAD_LIMIT),
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: y\r\n", HEAD_LIMIT),
        (b"HTTP/1.1 200 OK\r\nX-Header: ", b"y" * 100, HEAD_LIMIT),
        (b"HTTP/1.1 200 ", b"y" * 100, HEAD_LIMIT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"x" * 100, ANSWER_LIMIT),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X-Trailer: y\r\n", ANSWER_LIMIT),
    ],
    ids=["interim answers", "headers", "one header", "reason phrase", "chunk extension", "trailers"],
)
def test_what_never_ends_is_cut_off(begin: bytes, more: bytes, limit: int) -> None:
    reader = AnswerReader()
    fed = len(begin)
    if begin:
        reader.feed(begin)
    with pytest.raises(BadAnswer):  # noqa: PT012 - it is raised somewhere on the way
        while fed <= 2 * limit:
            fed += len(more)
            assert not reader.feed(more)
    assert fed <= limit + len(more)


def test_a_second_answer_to_one_request_is_dropped_with_its_connection() -> None:
    reader = AnswerReader()
    assert reader.feed(PLAIN + b"HTTP/1.1 500 No\r\nContent-Length: 3\r\n\r\nbad")
    assert (reader.answer, reader.is_reusable) == (Answer(200, b"ok"), False)


@pytest.mark.parametrize("junk", [b"x", b"\r\nHTTP/9", b"\x00" * 50])
def test_bytes_behind_an_answer_condemn_its_connection(junk: bytes) -> None:
    reader = AnswerReader()
    assert reader.feed(PLAIN + junk)
    assert (reader.answer, reader.is_reusable) == (Answer(200, b"ok"), False)


@pytest.mark.parametrize(
    "wire",
    [
        b"220 mail.example.org ESMTP\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\nxyz",
        b"HTTP/7.7 200 OK\r\n\r\n",
    ],
)
def test_what_is_no_answer_is_refused(wire: bytes) -> None:
    with pytest.raises(BadAnswer):
        read(wire)


@pytest.mark.parametrize(("value", "seconds"), [(b"timeout=5, max=100", 5), (b"max=3", None), (b"x", None)])
def test_the_server_says_for_how_long_it_keeps_a_connection(value: bytes, seconds: int | None) -> None:
    reader = read(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nKeep-Alive: %b\r\n\r\n" % value)
    assert reader.keep_alive == seconds


def test_a_header_that_is_not_ascii_is_handed_on() -> None:
    reader = read(b"HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: caf\xe9\r\n\r\n")
    assert reader.answer == Answer(429, b"", "café")
