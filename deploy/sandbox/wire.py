"""Protocol of the provider's port: `POST /v1/send/{msgId}` over HTTP/1.1, with as little work as possible.

There is one `Connection` per client. Answers leave in the order of the requests, even if these are pipelined and
an earlier one still waits. The `Provider` decides on the reaction to a request.
"""

import asyncio
import socket
import struct
from collections import deque
from typing import Protocol, cast

import httptools

from deploy.sandbox.behaviour import PLAIN, Ending, Reaction, answer

BODY_LIMIT = 64 * 1024
NO_LINGER = struct.pack("ii", 1, 0)  # close() then sends RST instead of FIN
NOT_HTTP = Reaction(answer(400, b'{"code": 1, "message": "Not HTTP"}'), Ending.CLOSE)
TOO_LARGE = Reaction(answer(413, b'{"code": 1, "message": "Too large"}'), Ending.CLOSE)


class Provider(Protocol):
    """Object that decides on requests, and keeps the open connections."""

    def receive(self, method: bytes, path: bytes, authorization: bytes, body: bytes) -> Reaction: ...

    def opened(self, connection: "Connection") -> None: ...

    def closed(self, connection: "Connection") -> None: ...


class Turn:
    """Place of a request in its connection's order of answers."""

    __slots__ = ("reaction", "ready")

    def __init__(self, reaction: Reaction) -> None:
        self.reaction = reaction
        self.ready = reaction.ending is not Ending.HANG and not reaction.delay


class Connection(asyncio.Protocol):
    """Connection of a client."""

    __slots__ = ("_authorization", "_body", "_parser", "_path", "_provider", "_transport", "_turns")
    _transport: asyncio.Transport

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._parser = httptools.HttpRequestParser(self)
        self._turns: deque[Turn] = deque()
        self.on_message_begin()

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its base class
        self._provider.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio names it
        self._provider.closed(self)
        self._turns.clear()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._take_turn(NOT_HTTP)

    # What the parser calls

    def on_message_begin(self) -> None:
        self._path = self._body = self._authorization = b""

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == 13 and name.lower() == b"authorization":
            self._authorization = value

    def on_body(self, body: bytes) -> None:
        if len(self._body) + len(body) > BODY_LIMIT:
            self._take_turn(TOO_LARGE)
        else:
            self._body += body

    def on_message_complete(self) -> None:
        if self._transport.is_closing():  # a pipelined request behind one that ends the connection
            return
        parser = self._parser
        reaction = self._provider.receive(parser.get_method(), self._path, self._authorization, self._body)
        keep = parser.should_keep_alive()
        if reaction is PLAIN and keep and not self._turns:
            self._transport.write(reaction.reply)
        else:
            self._take_turn(reaction if keep else _closing(reaction))

    # Answering in order

    def _take_turn(self, reaction: Reaction) -> None:
        turn = Turn(reaction)
        self._turns.append(turn)
        if turn.ready:
            self._answer()
        elif reaction.delay:
            asyncio.get_running_loop().call_later(reaction.delay, self._end_delay, turn)

    def _end_delay(self, turn: Turn) -> None:
        turn.ready = turn.reaction.ending is not Ending.HANG
        self._answer()

    def _answer(self) -> None:
        """Send every answer that is ready and has no unready one before it."""
        while self._turns and self._turns[0].ready and not self._transport.is_closing():
            reaction = self._turns.popleft().reaction
            if reaction.ending is Ending.RESET:
                self.reset()
                return
            self._transport.write(reaction.reply)
            if reaction.ending is Ending.CLOSE:
                self._transport.close()

    def release(self) -> None:
        """Answer requests that were left hanging, because the behaviour has ended."""
        for turn in self._turns:
            if turn.reaction.ending is Ending.HANG:
                turn.ready = True
        self._answer()

    def reset(self) -> None:
        """Reset the connection, so that the client gets "connection reset by peer"."""
        self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._transport.abort()


def _closing(reaction: Reaction) -> Reaction:
    """Return the reaction with the end of the connection, which the client wants."""
    if reaction.ending is not Ending.KEEP:
        return reaction
    return Reaction(reaction.reply, Ending.CLOSE, reaction.delay, reaction.taken)
