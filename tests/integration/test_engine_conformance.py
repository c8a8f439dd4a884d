"""Both HTTP engines do the same, with and without TLS, whatever the provider does.

The engines share no code, so each is the reference of the other.
"""

import asyncio
import gzip
import itertools
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from services.sender.http.exchange import BODY_LIMIT, Answer, NoAnswer, Reply, Request, RequestHead
from tests.integration.exchanging import CONNECT_TIMEOUT, Certificates, EngineName, Exchanger, certificates, opened
from tests.integration.scripted import OK_BODY, Play, ScriptedServer, answer, scripted
from tests.integration.scripted import Request as Received
from tests.sandbox import Sandbox

__all__ = ["certificates"]

BODY = json.dumps({"text": 'Привет, "мир" \\ \n 👋'}).encode()


@dataclass(frozen=True, slots=True)
class Line:
    """An engine, and whether it speaks TLS."""

    engine: EngineName
    certificates: Certificates | None

    def serve(self, play: Play) -> AbstractAsyncContextManager[ScriptedServer]:
        if self.certificates is None:
            return scripted(play)
        return scripted(play, self.certificates.server, self.certificates.client)

    def open(
        self, url: str, *, workers: int = 8, connect_timeout: float = CONNECT_TIMEOUT
    ) -> AbstractAsyncContextManager[Exchanger]:
        tls = self.certificates.client if self.certificates else None
        return opened(self.engine, url, tls=tls, workers=workers, connect_timeout=connect_timeout)

    @asynccontextmanager
    async def to(self, play: Play) -> AsyncIterator[tuple[Exchanger, ScriptedServer]]:
        async with self.serve(play) as server, self.open(server.url) as exchanger:
            yield exchanger, server


@pytest.fixture(params=itertools.product(["asyncio", "httpx"], ["plain", "TLS"]), ids="-".join)
def line(request: pytest.FixtureRequest, certificates: Certificates) -> Line:
    engine, security = request.param
    return Line(engine, certificates if security == "TLS" else None)


async def hang(request: Received, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def raw(wire: bytes, *, close: bool = False) -> Play:
    """Plays some bytes."""

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(wire)
        if close:
            writer.close()

    return play


def pouring(begin: bytes, more: bytes, pause: float | None = None) -> Play:
    """Plays bytes that never end."""

    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        while True:
            writer.write(more)
            await writer.drain()
            if pause is not None:
                await asyncio.sleep(pause)

    return play


def is_unknown(reply: Reply) -> bool:
    """True if the request may have left, and no answer came."""
    return isinstance(reply, NoAnswer) and reply.sent


async def shortest(action: Callable[[], Awaitable[Reply]]) -> float:
    """Return the best of three times, in seconds, because the machine may have other work."""
    took: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        assert isinstance(await action(), NoAnswer)
        took.append(time.perf_counter() - began)
    return min(took)


# What goes over the wire


async def test_a_request_arrives_as_it_was_made(line: Line) -> None:
    head = RequestHead("PUT", (("Authorization", "Bearer x"), ("Content-Type", "text/x")))
    async with line.to(answer(201)) as (exchanger, server):
        assert await exchanger.exchange(Request(head, "/a%20b?c=d", BODY)) == Answer(201, OK_BODY)
    [request] = server.requests
    assert request.line == "PUT /a%20b?c=d HTTP/1.1"
    assert request.headers == {
        "host": server.url.partition("//")[2],
        "authorization": "Bearer x",
        "content-type": "text/x",
        "content-length": str(len(BODY)),
    }
    assert request.body == BODY


async def test_connections_are_used_again(line: Line) -> None:
    async with line.to(answer(200)) as (exchanger, server):
        for _ in range(20):
            assert await exchanger.post() == Answer(200, OK_BODY)
    assert server.connections <= (1 if line.engine == "asyncio" else 20)


async def test_a_hundred_requests_are_under_way_at_the_same_time(line: Line) -> None:
    async def answer_late(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)
        await answer(200)(request, writer)

    async with (
        line.serve(answer_late) as server,
        line.open(server.url, workers=100, connect_timeout=5) as exchanger,
    ):
        began = time.perf_counter()
        assert await asyncio.gather(*(exchanger.post() for _ in range(100))) == [Answer(200, OK_BODY)] * 100
        assert time.perf_counter() - began < 10  # one after another: 50 s
    assert server.connections == 100


async def test_a_proxy_in_the_environment_is_not_used(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with line.to(answer(200)) as (exchanger, _):
        assert await exchanger.post() == Answer(200, OK_BODY)


# Answers


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\nTrailer: 1\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
    ],
    ids=["chunked", "after interim answers", "HTTP/1.0", "Connection: close"],
)
async def test_an_answer_comes_in_every_form_of_http(line: Line, wire: bytes) -> None:
    async with line.to(raw(wire)) as (exchanger, server):
        assert [await exchanger.post() for _ in range(3)] == [Answer(200, b"ok")] * 3
    assert len(server.requests) == 3


async def test_a_body_may_end_with_the_connection(line: Line) -> None:
    async with line.to(raw(b"HTTP/1.1 200 OK\r\n\r\nok", close=True)) as (exchanger, server):
        assert [await exchanger.post() for _ in range(3)] == [Answer(200, b"ok")] * 3
    assert server.connections == 3


@pytest.mark.parametrize("status", [204, 304, 400, 401, 429, 500, 503, 599, 999])
async def test_every_status_is_an_answer(line: Line, status: int) -> None:
    async with line.to(answer(status, b"", "Retry-After: 7")) as (exchanger, _):
        assert await exchanger.post() == Answer(status, b"", "7")


async def test_a_redirect_is_not_followed(line: Line) -> None:
    async with line.to(answer(307, b"", "Location: /elsewhere")) as (exchanger, server):
        assert await exchanger.post() == Answer(307, b"")
    assert len(server.requests) == 1


async def test_a_compressed_body_is_not_unpacked(line: Line) -> None:
    bomb = gzip.compress(b"\x00" * 1_000_000)
    async with line.to(answer(200, bomb, "Content-Encoding: gzip")) as (exchanger, _):
        assert await exchanger.post() == Answer(200, bomb)


async def test_a_header_that_is_not_ascii_raises_nothing(line: Line) -> None:
    async with line.to(answer(429, b"", "Retry-After: café")) as (exchanger, _):
        reply = await exchanger.post()
    assert isinstance(reply, Answer)
    assert reply.status == 429


@pytest.mark.parametrize("framing", ["Content-Length: 1000000000", "Transfer-Encoding: chunked", "X: y"])
async def test_only_the_beginning_of_a_giant_body_is_read(line: Line, framing: str) -> None:
    block = b"186A0\r\n" + b"x" * 100_000 + b"\r\n" if "chunked" in framing else b"x" * 100_000
    async with line.to(pouring(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode(), block)) as (exchanger, _):
        assert await exchanger.post() == Answer(200, b"x" * BODY_LIMIT)


# No answer: nothing was written


def is_unsent(reply: Reply) -> bool:
    return isinstance(reply, NoAnswer) and not reply.sent


def refused(line: Line, port: int) -> str:
    return f"{'https' if line.certificates else 'http'}://127.0.0.1:{port}"


async def test_a_refused_connection_is_certainly_unsent(line: Line) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with line.open(refused(line, nobody.getsockname()[1])) as exchanger:
            reply = await exchanger.post()
    assert is_unsent(reply)
    assert isinstance(reply, NoAnswer)
    assert "refused" in reply.reason


async def test_an_unknown_host_is_certainly_unsent(line: Line) -> None:
    scheme = "https" if line.certificates else "http"
    async with line.open(f"{scheme}://{'a' * 64}.invalid") as exchanger:  # too long a label to be looked up
        assert is_unsent(await exchanger.post())


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog does something else elsewhere")
async def test_a_connection_that_does_not_come_about_in_time_is_certainly_unsent(line: Line) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for caller in (first, second):
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())  # the backlog is full now
        async with line.open(refused(line, deaf.getsockname()[1])) as exchanger:
            assert is_unsent(await exchanger.post())
            assert await shortest(exchanger.post) < 0.4  # the connect time-out is 0.3 s


async def test_a_server_that_does_not_answer_the_handshake_gets_nothing(
    engine: EngineName, certificates: Certificates
) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        async with opened(engine, url, tls=certificates.client) as exchanger:
            assert is_unsent(await exchanger.post())


async def test_a_server_that_does_not_speak_tls_gets_nothing(
    engine: EngineName, certificates: Certificates
) -> None:
    async with scripted(answer(200)) as server:
        url = server.url.replace("http:", "https:")
        async with opened(engine, url, tls=certificates.client) as exchanger:
            assert is_unsent(await exchanger.post())
    assert server.requests == []


# No answer: something was written


async def test_an_answer_that_never_comes_ends_with_the_time_limit(line: Line) -> None:
    async with line.to(hang) as (exchanger, _):
        assert is_unknown(await exchanger.post(timeout=0.05))
        assert 0.39 < await shortest(lambda: exchanger.post(timeout=0.4)) < 0.5


HEAD_OF_CHUNKS = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", b" "),
        (HEAD_OF_CHUNKS, b"1\r\nx\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n"),
        (b"HTTP/1.1 ", b"2"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"),
        (b"", b"HTTP/1.1 102 Processing\r\n\r\n"),
    ],
    ids=["body", "chunks", "headers", "status line", "103", "102"],
)
async def test_bytes_that_dribble_in_end_with_the_time_limit(line: Line, begin: bytes, more: bytes) -> None:
    async with line.to(pouring(begin, more, pause=0.02)) as (exchanger, _):
        assert is_unknown(await exchanger.post(timeout=0.05))
        assert await shortest(lambda: exchanger.post(timeout=0.4)) < 0.5


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nA: ", b"b" * 10_000),
        (HEAD_OF_CHUNKS + b"1;", b"x" * 10_000),
        (HEAD_OF_CHUNKS + b"0\r\n", b"A: b\r\n" * 1000),
    ],
    ids=["103", "headers", "one header", "chunk extension", "trailers"],
)
async def test_floods_end_with_the_time_limit_at_the_latest(line: Line, begin: bytes, more: bytes) -> None:
    async with line.to(pouring(begin, more)) as (exchanger, _):
        began = time.perf_counter()
        assert is_unknown(await exchanger.post(timeout=0.5))
        assert time.perf_counter() - began < 2


@pytest.mark.parametrize("timeout", [0, -1, 0.000001])
async def test_no_time_at_all_is_a_time_out_and_not_an_error(line: Line, timeout: float) -> None:
    async with line.to(hang) as (exchanger, _):
        assert isinstance(await exchanger.post(timeout=timeout), NoAnswer)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha",
        HEAD_OF_CHUNKS + b"5\r\nha",
        b"220 mail.example.org ESMTP\r\n",
        b"\x00\xff" * 100,
    ],
    ids=["nothing", "half a head", "half a body", "half a chunk", "another protocol", "garbage"],
)
@pytest.mark.parametrize("used_before", [False, True])
async def test_a_connection_closed_without_a_complete_answer_may_have_sent_it_and_it_is_not_repeated(
    line: Line, wire: bytes, used_before: bool
) -> None:
    async def play(request: Received, writer: asyncio.StreamWriter) -> None:
        plays = answer(200) if used_before and len(server.requests) == 1 else raw(wire, close=True)
        await plays(request, writer)

    async with line.to(play) as (exchanger, server):
        if used_before:
            assert await exchanger.post("/first") == Answer(200, OK_BODY)
        assert is_unknown(await exchanger.post("/second"))
        await asyncio.sleep(0.05)
    assert [request.line.split()[1] for request in server.requests][used_before:] == ["/second"]


async def test_a_connection_reset_after_the_request_may_have_sent_it_and_it_is_not_repeated(line: Line) -> None:
    async def reset(request: Received, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with line.to(reset) as (exchanger, server):
        assert is_unknown(await exchanger.post())
    assert len(server.requests) == 1


async def test_connections_that_the_server_keeps_closing_repeat_and_lose_nothing(line: Line) -> None:
    """Each answer is followed by a close, which the next request races against."""

    async def answer_and_close(request: Received, writer: asyncio.StreamWriter) -> None:
        await answer(200)(request, writer)
        writer.close()

    async with line.to(answer_and_close) as (exchanger, server):
        replies = {f"/{number}": await exchanger.post(f"/{number}") for number in range(100)}
    targets = [request.line.split()[1] for request in server.requests]
    assert len(targets) == len(set(targets))
    for target, reply in replies.items():
        assert reply == Answer(200, OK_BODY) if target in targets else isinstance(reply, NoAnswer)
        assert target in targets or is_unsent(reply) or is_unknown(reply)


async def test_a_provider_that_is_down_gets_nothing_and_is_found_again(
    engine: EngineName, sandbox: Sandbox
) -> None:
    await sandbox.reset()
    async with opened(engine, sandbox.url) as exchanger:
        assert isinstance(await exchanger.post("/1"), Answer)  # leaves a connection, which goes down, too
        await sandbox.control.behave("down")
        # A request may be written to the idle connection before its end arrives. The next one finds no connection.
        assert is_unsent(await exchanger.post("/2")) or is_unsent(await exchanger.post("/2"))
        await sandbox.control.behave()
        assert isinstance(await exchanger.post("/3"), Answer)
    assert (await sandbox.control.totals()).invalid == 2


# The end


async def test_what_is_under_way_when_the_engine_is_closed_may_have_been_sent(line: Line) -> None:
    async with line.to(hang) as (exchanger, server):
        sending = asyncio.create_task(exchanger.post(timeout=60))
        async with asyncio.timeout(10):
            while not server.requests:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.005)
        await exchanger.engine.close()
        assert is_unknown(await sending)


@pytest.fixture(params=["asyncio", "httpx"])
def engine(request: pytest.FixtureRequest) -> EngineName:
    return request.param  # type: ignore[no-any-return]  # pytest knows no type of it
