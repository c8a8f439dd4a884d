"""An HTTP server that does exactly what a test tells it: the trouble that no mode of the sandbox plays."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK_BODY = b'{"code": 0, "message": "OK"}'


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as it came over the wire. Header names are in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class ScriptedServer:
    """A running server, and what it received."""

    url: str
    requests: list[Request] = field(default_factory=list)
    connections: int = 0


Play = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


def answer(status: int, body: bytes = OK_BODY, *headers: str) -> Play:
    """Plays one answer, with the connection kept open."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]

    async def play(request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write("\r\n".join(lines).encode() + body)

    return play


@asynccontextmanager
async def scripted(
    play: Play, tls: ssl.SSLContext | None = None, trusting: ssl.SSLContext | None = None
) -> AsyncIterator[ScriptedServer]:
    """Serves on a free port: plays for every request of a connection, until the play closes it.

    With `tls` it speaks TLS; `trusting` is then a context that trusts it.
    """
    conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    all_accepted = asyncio.Event()
    last = socket.socket()
    last.bind(("127.0.0.1", 0))
    last_name = last.getsockname()

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        try:
            while not writer.is_closing():
                request = await _read(reader)
                server.requests.append(request)
                await play(request, writer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client went
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if writer.get_extra_info("peername") == last_name:
            writer.close()
            all_accepted.set()
        else:
            conversations[asyncio.create_task(converse(reader, writer))] = writer

    listener = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    server = ScriptedServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}")
    async with listener:
        try:
            yield server
        except BaseException:
            last.close()
            raise
        # asyncio loses the socket of a connection that it accepts while it stops listening. The backlog is first
        # in, first out: once our own connection is in, so are all others.
        loop = asyncio.get_running_loop()
        last.setblocking(False)
        await loop.sock_connect(last, ("127.0.0.1", port))
        # A server that speaks TLS accepts nobody before the handshake.
        name = "127.0.0.1" if trusting else None
        transport, _ = await loop.create_connection(
            asyncio.Protocol, sock=last, ssl=trusting, server_hostname=name
        )
        await all_accepted.wait()
        transport.abort()
        listener.close()
        for conversation, writer in conversations.items():
            conversation.cancel()
            writer.close()  # a conversation that had not begun does not
        closed = (writer.wait_closed() for writer in conversations.values())
        await asyncio.gather(*conversations, *closed, return_exceptions=True)


async def _read(reader: asyncio.StreamReader) -> Request:
    line, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
    fields = {name.lower(): value for name, _, value in (header.partition(": ") for header in headers)}
    return Request(line, fields, await reader.readexactly(int(fields["content-length"])))
