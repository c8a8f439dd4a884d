"""Both HTTP engines behave in the same way, with every behaviour of the provider."""

import asyncio
import gzip
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal

import pytest
from pydantic import SecretStr

from services.sender.provider import Provider, open_provider
from services.sender.replies import BODY_LIMIT, Answer, NoAnswer
from tests.integration.scripted import OK_BODY, Request, answer, scripted
from tests.sandbox import TOKEN, Sandbox

pytest_plugins = ["tests.sandbox"]

Engine = Literal["reqwest", "httpx"]
PHONE = 79057003050
TEXT = 'Привет, "мир" \\ \n 👋'


@pytest.fixture(params=["reqwest", "httpx"])
def engine(request: pytest.FixtureRequest) -> Engine:
    return request.param  # type: ignore[no-any-return]  # pytest knows no type of it


@asynccontextmanager
async def opened(engine: Engine, url: str) -> AsyncIterator[Provider]:
    provider = open_provider(engine, url, SecretStr(TOKEN), 128, timedelta(milliseconds=300))
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def provider(engine: Engine, sandbox: Sandbox) -> AsyncIterator[Provider]:
    await sandbox.reset()
    async with opened(engine, sandbox.url) as provider:
        yield provider


async def post(provider: Provider, message_id: int = 1, *, timeout: float = 5) -> Answer | NoAnswer:
    return await provider.send(message_id, PHONE, TEXT, timeout=timeout)


async def eventually(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - it is another process that changes
            await asyncio.sleep(0.005)


async def shortest(action: Callable[[], Awaitable[Answer | NoAnswer]]) -> float:
    """Return the shortest of three durations in seconds, because the machine may be busy."""
    took: list[float] = []
    for _ in range(3):
        began = time.perf_counter()
        assert isinstance(await action(), NoAnswer)
        took.append(time.perf_counter() - began)
    return min(took)


# What goes over the wire


async def test_the_request_is_the_documented_one(engine: Engine) -> None:
    async with scripted(answer(200)) as server, opened(engine, server.url + "/") as provider:
        assert await provider.send(4711, PHONE, TEXT, timeout=5) == Answer(200, OK_BODY)
    [request] = server.requests
    assert request.line == "POST /v1/send/4711 HTTP/1.1"
    assert request.headers["authorization"] == f"Bearer {TOKEN}"
    assert request.headers["content-type"] == "application/json"
    assert "accept-encoding" not in request.headers
    assert json.loads(request.body) == {"id": 4711, "phone": PHONE, "text": TEXT}


async def test_a_trace_continues_at_the_provider(engine: Engine) -> None:
    traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with scripted(answer(200)) as server, opened(engine, server.url) as provider:
        await provider.send(1, PHONE, TEXT, timeout=5, traceparent=traceparent)
        await provider.send(2, PHONE, TEXT, timeout=5)
    assert [request.headers.get("traceparent") for request in server.requests] == [traceparent, None]


async def test_a_message_arrives_with_its_id_and_number(provider: Provider, sandbox: Sandbox) -> None:
    assert await post(provider, 42) == Answer(200, OK_BODY)
    received = await sandbox.control.message(42)
    assert received is not None
    assert (received.phone, received.count, received.accepted) == (PHONE, 1, True)


async def test_connections_are_reused(engine: Engine) -> None:
    async with scripted(answer(200)) as server, opened(engine, server.url) as provider:
        for message_id in range(20):
            assert await post(provider, message_id) == Answer(200, OK_BODY)
    assert server.connections == 1


async def test_a_hundred_messages_are_in_flight_at_the_same_time(provider: Provider, sandbox: Sandbox) -> None:
    await sandbox.control.behave("slow", latency_ms=500)
    began = time.perf_counter()
    replies = await asyncio.gather(*(post(provider, message_id) for message_id in range(1, 101)))
    assert replies == [Answer(200, OK_BODY)] * 100
    assert time.perf_counter() - began < 10  # one after another: 50 s
    assert (await sandbox.control.totals()).unique == 100


async def test_a_proxy_in_the_environment_is_ignored(
    engine: Engine, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    await sandbox.reset()
    async with opened(engine, sandbox.url) as provider:
        assert await post(provider) == Answer(200, OK_BODY)


# Answers that are no acceptance


@pytest.mark.parametrize(
    ("mode", "status", "retry_after"),
    [
        ("reject", 400, None),
        ("unauthorized", 401, None),
        ("throttle", 429, "7"),
        ("unavailable", 503, "7"),
        ("error", 500, None),
    ],
)
async def test_a_refusal_is_an_answer(
    provider: Provider, sandbox: Sandbox, mode: str, status: int, retry_after: str | None
) -> None:
    await sandbox.control.behave(mode, retry_after=7)
    reply = await post(provider)
    assert isinstance(reply, Answer)
    assert (reply.status, reply.retry_after) == (status, retry_after)
    assert b'"code"' in reply.body


async def test_garbage_is_returned_as_it_came(provider: Provider, sandbox: Sandbox) -> None:
    await sandbox.control.behave("garbage")
    reply = await post(provider)
    assert isinstance(reply, Answer)
    assert (reply.status, reply.body[:7]) == (200, b"<html>\x00")


async def test_a_header_that_is_not_ascii_raises_nothing(engine: Engine) -> None:
    async with scripted(answer(429, b"", "Retry-After: café")) as server, opened(engine, server.url) as provider:
        reply = await post(provider)
    assert reply == Answer(429, b"") or (isinstance(reply, NoAnswer) and reply.sent)


async def test_a_redirect_is_not_followed(engine: Engine) -> None:
    async with (
        scripted(answer(307, b"", "Location: /v1/send/1", "Retry-After: 3")) as server,
        opened(engine, server.url) as provider,
    ):
        assert await post(provider) == Answer(307, b"", "3")
    assert len(server.requests) == 1


async def test_an_answer_without_a_body_is_an_answer(engine: Engine) -> None:
    async with scripted(answer(204, b"")) as server, opened(engine, server.url) as provider:
        assert await post(provider) == Answer(204, b"")


async def test_a_compressed_body_is_not_unpacked(engine: Engine) -> None:
    bomb = gzip.compress(b"\x00" * 1_000_000)
    async with (
        scripted(answer(200, bomb, "Content-Encoding: gzip")) as server,
        opened(engine, server.url) as provider,
    ):
        assert await post(provider) == Answer(200, bomb)


@pytest.mark.parametrize("framing", ["Content-Length: 1000000000", "Transfer-Encoding: chunked"])
async def test_only_the_beginning_of_a_giant_body_is_read(engine: Engine, framing: str) -> None:
    written = 0

    async def pour(request: Request, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(f"HTTP/1.1 200 OK\r\n{framing}\r\n\r\n".encode())
        block = b"x" * 100_000 if "Length" in framing else b"186A0\r\n" + b"x" * 100_000 + b"\r\n"
        while written < 1_000_000_000:
            writer.write(block)
            await writer.drain()
            written += 100_000

    async with scripted(pour) as server, opened(engine, server.url) as provider:
        assert await post(provider) == Answer(200, b"x" * BODY_LIMIT)
    assert written < 100_000_000


# No answer


async def test_a_refused_connection_is_certainly_unsent(engine: Engine) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        async with opened(engine, "http://127.0.0.1:{1}".format(*nobody.getsockname())) as provider:
            reply = await post(provider)
    assert isinstance(reply, NoAnswer)
    assert not reply.sent
    assert "refused" in reply.reason


async def test_an_unknown_host_is_certainly_unsent(engine: Engine) -> None:
    async with opened(engine, f"http://{'a' * 64}.invalid") as provider:  # too long a label to be asked for
        reply = await post(provider)
    assert isinstance(reply, NoAnswer)
    assert not reply.sent


@pytest.mark.skipif(sys.platform != "linux", reason="a full backlog does something else elsewhere")
async def test_a_connection_that_is_not_established_in_time_is_certainly_unsent(engine: Engine) -> None:
    with socket.socket() as deaf, socket.socket() as first, socket.socket() as second:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for caller in (first, second):
            caller.setblocking(False)
            caller.connect_ex(deaf.getsockname())  # the backlog is full now
        async with opened(engine, "http://127.0.0.1:{1}".format(*deaf.getsockname())) as provider:
            reply = await post(provider)
            assert isinstance(reply, NoAnswer)
            assert not reply.sent
            assert 0.29 < await shortest(lambda: post(provider)) < 0.35  # the connect time-out is 0.3 s


async def test_a_provider_that_is_down_gets_nothing_and_is_reached_when_it_is_back(
    provider: Provider, sandbox: Sandbox
) -> None:
    await post(provider, 1)  # leaves a connection in the pool, which goes down with the provider
    await sandbox.control.behave("down")
    reply = await post(provider, 2)
    assert isinstance(reply, NoAnswer)
    assert not reply.sent
    await sandbox.control.behave()
    assert await post(provider, 2) == Answer(200, OK_BODY)
    assert [(item.id, item.count) for item in await sandbox.control.messages()] == [(1, 1), (2, 1)]


async def test_an_answer_that_never_comes_ends_with_the_time_out(provider: Provider, sandbox: Sandbox) -> None:
    await sandbox.control.behave("hang")
    reply = await post(provider, timeout=0.05)
    assert isinstance(reply, NoAnswer)
    assert reply.sent
    assert 0.39 < await shortest(lambda: post(provider, timeout=0.4)) < 0.45


async def test_the_time_out_covers_the_body_too(engine: Engine) -> None:
    async def drip(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with scripted(drip) as server, opened(engine, server.url) as provider:
        reply = await post(provider, timeout=0.05)
        assert isinstance(reply, NoAnswer)
        assert reply.sent
        assert 0.39 < await shortest(lambda: post(provider, timeout=0.4)) < 0.45


@pytest.mark.parametrize("timeout", [0, -1, 0.000001])
async def test_no_time_at_all_is_a_time_out_and_not_an_error(engine: Engine, timeout: float) -> None:
    async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with scripted(hang) as server, opened(engine, server.url) as provider:
        assert isinstance(await post(provider, timeout=timeout), NoAnswer)


@pytest.mark.parametrize("used_before", [False, True])
@pytest.mark.parametrize("mode", ["reset", "half"])
async def test_a_connection_cut_after_the_request_may_have_sent_it_and_it_is_not_repeated(
    provider: Provider, sandbox: Sandbox, mode: str, used_before: bool
) -> None:
    if used_before:
        await post(provider, 1)
    await sandbox.control.behave(mode)
    reply = await post(provider, 2)
    assert isinstance(reply, NoAnswer)
    assert reply.sent
    received = await sandbox.control.message(2)
    assert received is not None
    assert (received.count, received.accepted) == (1, True)


async def test_a_connection_closed_without_an_answer_may_have_sent_it(engine: Engine) -> None:
    async def hang_up(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with scripted(hang_up) as server, opened(engine, server.url) as provider:
        reply = await post(provider)
    assert isinstance(reply, NoAnswer)
    assert reply.sent
    assert len(server.requests) == 1


async def test_a_reply_that_is_not_http_is_no_answer(engine: Engine) -> None:
    async def greet(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()

    async with scripted(greet) as server, opened(engine, server.url) as provider:
        reply = await post(provider)
    assert isinstance(reply, NoAnswer)
    assert reply.sent


async def test_a_server_that_closes_every_connection_causes_no_repeat_and_no_loss(engine: Engine) -> None:
    """Each answer is followed by a close, which the next request races against."""

    async def answer_and_close(request: Request, writer: asyncio.StreamWriter) -> None:
        await answer(200)(request, writer)
        writer.close()

    async with scripted(answer_and_close) as server, opened(engine, server.url) as provider:
        replies = {message_id: await post(provider, message_id) for message_id in range(300)}
    lines = [request.line for request in server.requests]
    assert len(lines) == len(set(lines))
    for message_id, reply in replies.items():
        arrived = f"POST /v1/send/{message_id} HTTP/1.1" in lines
        assert reply == Answer(200, OK_BODY) if arrived else isinstance(reply, NoAnswer)


# The end


async def test_cancelling_the_caller_cancels_the_request(provider: Provider, sandbox: Sandbox) -> None:
    await sandbox.control.behave("hang")
    sending = asyncio.create_task(post(provider, 7, timeout=60))
    await eventually(lambda: _arrived(sandbox, 7))
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending


async def test_a_request_in_flight_when_the_provider_is_closed_may_have_been_sent(
    provider: Provider, sandbox: Sandbox
) -> None:
    await sandbox.control.behave("hang")
    sending = asyncio.create_task(post(provider, 7, timeout=60))
    await eventually(lambda: _arrived(sandbox, 7))
    await provider.close()
    reply = await sending
    assert isinstance(reply, NoAnswer)
    assert reply.sent


async def _arrived(sandbox: Sandbox, message_id: int) -> bool:
    return await sandbox.control.message(message_id) is not None
