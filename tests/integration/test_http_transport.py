"""Our own transport, where it does more than the second engine: idle connections, addresses, pauses, TLS."""

import asyncio
import os
import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.sender.http.dialing import Dialer
from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import Answer, NoAnswer, Reply
from services.sender.http.tls import client_context
from tests.integration.exchanging import Certificates, certificates, opened
from tests.integration.scripted import OK_BODY, Request, answer, scripted

__all__ = ["certificates"]

OK = Answer(200, OK_BODY)
OK_WIRE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(OK_BODY), OK_BODY)


async def hang(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def reason(reply: Reply, *, sent: bool) -> str:
    assert isinstance(reply, NoAnswer)
    assert reply.sent is sent
    return reply.reason


# Idle connections


@pytest.mark.parametrize("rest", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
async def test_a_request_is_not_written_into_a_connection_that_the_server_closed_just_before(rest: bytes) -> None:
    """The event loop has not seen the end yet: only a look into the socket can."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        async with opened("asyncio", f"http://127.0.0.1:{server.getsockname()[1]}") as exchanger:
            for _ in range(3):
                sending = asyncio.create_task(exchanger.post())
                connection, _ = await loop.sock_accept(server)
                with connection:
                    assert (await loop.sock_recv(connection, 10_000)).startswith(b"POST")
                    await loop.sock_sendall(connection, OK_WIRE)
                    assert await sending == OK
                    connection.send(rest)  # and closed, without a round of the loop in between


async def test_an_answer_that_nobody_asked_for_is_not_taken_for_the_next_one(
    certificates: Certificates,
) -> None:
    async def answer_twice(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(OK_WIRE)
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 400 No\r\nContent-Length: 0\r\n\r\n")

    for tls, trusting in ((None, None), (certificates.server, certificates.client)):
        async with (
            scripted(answer_twice, tls, trusting) as server,
            opened("asyncio", server.url, tls=trusting) as exchanger,
        ):
            for _ in range(3):
                assert await exchanger.post() == OK
                await asyncio.sleep(0.06)
        assert server.connections == 3


async def test_an_idle_connection_is_closed_before_the_server_does_it() -> None:
    closed = asyncio.Event()

    async def keep_for_a_second(request: Request, writer: asyncio.StreamWriter) -> None:
        await answer(200, OK_BODY, "Keep-Alive: timeout=1")(request, writer)
        asyncio.get_running_loop().call_soon(watch, writer)

    def watch(writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        if transport.is_closing():
            closed.set()
        else:
            asyncio.get_running_loop().call_later(0.01, watch, writer)

    async with scripted(keep_for_a_second) as server, opened("asyncio", server.url) as exchanger:
        assert await exchanger.post() == OK
        began = time.perf_counter()
        async with asyncio.timeout(0.9):
            await closed.wait()
        assert time.perf_counter() - began > 0.1
        assert await exchanger.post() == OK
    assert server.connections == 2


# Connecting


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
@pytest.mark.parametrize("bad", ["127.0.0.2", "192.0.2.1"], ids=["refuses", "is silent"])
async def test_the_next_address_is_tried_when_one_fails(bad: str) -> None:
    async def look_up() -> list[str]:
        return [bad, "127.0.0.1"]

    async with scripted(answer(200)) as server:
        dialer = Dialer(Endpoint.parse(server.url), 1.0, None, look_up)
        for _ in range(3):
            transport = await dialer.dial(_Kept)
            assert transport.peer[0] == "127.0.0.1"
        await dialer.close()


async def test_what_a_name_stood_for_before_is_better_than_nothing() -> None:
    async def look_up() -> list[str]:
        if lookups:
            raise OSError("no name server answers")
        lookups.append(1)
        return ["127.0.0.1"]

    lookups: list[int] = []
    async with scripted(answer(200)) as server:
        dialer = Dialer(Endpoint.parse(server.url), 1.0, None, look_up, fresh_for=0.0)
        for _ in range(3):
            await dialer.dial(_Kept)
        await dialer.close()


class _Kept(asyncio.Protocol):
    """A connection that closes itself."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.peer = transport.get_extra_info("peername")
        transport.close()


async def test_connections_that_end_at_once_are_not_made_in_a_frenzy() -> None:
    connections = 0

    def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        writer.transport.abort()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    async with server:
        url = "http://127.0.0.1:{1}".format(*server.sockets[0].getsockname())
        async with opened("asyncio", url, workers=4) as exchanger:
            replies = await asyncio.gather(*(exchanger.post() for _ in range(30)))
    assert all(isinstance(reply, NoAnswer) for reply in replies)
    assert connections < 60


async def test_there_are_never_more_connections_than_workers() -> None:
    async def answer_late(request: Request, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        await answer(200)(request, writer)

    async with scripted(answer_late) as server, opened("asyncio", server.url, workers=5) as exchanger:
        assert await asyncio.gather(*(exchanger.post() for _ in range(100))) == [OK] * 100
    assert server.connections == 5


@contextmanager
def no_more_files() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with open(os.devnull) as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit")
async def test_too_many_open_files_is_named_and_passes() -> None:
    async with scripted(answer(200)) as server, opened("asyncio", server.url) as exchanger:
        with no_more_files():
            assert "open files" in reason(await exchanger.post(), sent=False)
        assert await exchanger.post() == OK


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="it cannot be seen here")
async def test_connections_that_fail_in_the_handshake_leave_no_file_open(certificates: Certificates) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        before = len(os.listdir("/proc/self/fd"))
        async with opened("asyncio", url, tls=certificates.client, connect_timeout=0.05) as exchanger:
            replies = await asyncio.gather(*(exchanger.post() for _ in range(20)))
        assert all(reason(reply, sent=False) for reply in replies)
        await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) <= before


# TLS


async def test_a_certificate_of_an_unknown_authority_is_refused(certificates: Certificates) -> None:
    async with (
        scripted(answer(200), certificates.server, certificates.client) as server,
        opened("asyncio", server.url, tls=client_context()) as exchanger,
    ):
        assert "certificate refused" in reason(await exchanger.post(), sent=False)
    assert server.requests == []


async def test_a_certificate_for_another_name_is_refused(certificates: Certificates) -> None:
    tls, trusting = certificates.server_of_another_name, client_context(certificates.ca_file)
    trusting.check_hostname = False
    async with (
        scripted(answer(200), tls, trusting) as server,
        opened("asyncio", server.url, tls=certificates.client) as exchanger,
    ):
        assert "certificate refused" in reason(await exchanger.post(), sent=False)
    assert server.requests == []


async def test_the_server_is_told_which_host_is_meant(certificates: Certificates) -> None:
    asked: list[str | None] = []
    certificates.server.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with scripted(answer(200), certificates.server, certificates.client) as server:
        url = server.url.replace("127.0.0.1", "localhost")
        async with opened("asyncio", url, tls=certificates.client) as exchanger:
            assert await exchanger.post() == OK
    assert asked[0] == "localhost"


# A process that was not running for a while


async def test_an_answer_that_came_while_the_process_was_paused_is_read() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        loop = asyncio.get_running_loop()
        async with opened("asyncio", f"http://127.0.0.1:{server.getsockname()[1]}") as exchanger:
            sending = asyncio.create_task(exchanger.post(timeout=0.3))
            connection, _ = await loop.sock_accept(server)
            with connection:
                await loop.sock_recv(connection, 10_000)
                connection.send(OK_WIRE)
                time.sleep(0.8)  # noqa: ASYNC251 - nothing of this process runs
                assert await sending == OK


async def test_a_silence_during_a_pause_is_marked() -> None:
    async with scripted(hang) as server, opened("asyncio", server.url) as exchanger:
        sending = asyncio.create_task(exchanger.post(timeout=0.3))
        while not server.requests:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.005)
        time.sleep(0.8)  # noqa: ASYNC251
        reply = await sending
        assert isinstance(reply, NoAnswer)
        assert (reply.sent, reply.paused) == (True, True)
        later = await exchanger.post(timeout=0.3)
        assert isinstance(later, NoAnswer)
        assert not later.paused
