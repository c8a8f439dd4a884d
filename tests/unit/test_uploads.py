"""File of a form, read while it arrives."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.api.edge.refusals import Invalid
from services.api.edge.uploads import first_file

contents = st.lists(st.sampled_from([b"\r\n", b"--", b"x", b"\r\n--frontier", b"-", b"\r", b"a,b"]), max_size=20)


def read(body: bytes, size: int) -> bytes:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), size):
            yield body[start : start + size]

    async def gather() -> bytes:
        return b"".join([piece async for piece in first_file(b"frontier0", pieces())])

    return asyncio.run(gather())


def form(content: bytes) -> bytes:
    """Encode a form as another library does it: a field, the file, and a file that nobody asked for."""
    request = httpx.Request(
        "POST",
        "http://x/",
        data={"note": "filename"},
        files=[("file", ("clients.csv", content, "text/csv")), ("more", ("more.csv", b"more", "text/csv"))],
        headers={"Content-Type": "multipart/form-data; boundary=frontier0"},
    )
    return request.read()


@given(contents.map(b"".join), st.integers(1, 60))
def test_the_file_comes_out_unchanged_whatever_the_pieces(content: bytes, size: int) -> None:
    assert read(form(content), size) == content


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"number,tag,zone\n",
        b"--frontier0--\r\n",
        b'--frontier0\r\nContent-Disposition: form-data; name="x"\r\n\r\nvalue\r\n--frontier0--\r\n',
        form(b"a file that breaks off")[:-200],
        b"--frontier0\r\nX: " + b"x" * 100_000,
    ],
)
def test_a_form_without_a_whole_file_is_refused(body: bytes) -> None:
    for size in (1_000, 200_000):
        with pytest.raises(Invalid):
            read(body, size)
