"""One connection to the provider, which is a worker at the same time.

A request has three states: nothing written, something written, answered. They decide what silence means. A
connection takes a request only when it can write it at once, so a request that a connection holds counts as
"something written", and one that failed before that was never taken.
"""

import asyncio
import math
import os
from typing import Protocol, cast

from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import NoAnswer, RequestHead, Worker
from services.sender.http.reading import AnswerReader, BadAnswer
from services.sender.http.staleness import is_readable


class Owner(Protocol):
    """The pool, as its connections see it."""

    endpoint: Endpoint

    def watch(self, deadline: float) -> None:
        """Call `check_deadline` of all connections at this instant at the latest."""

    def rest(self, connection: "Connection") -> None:
        """Take note of a connection that has nothing to do."""

    def lose(self, connection: "Connection") -> None:
        """Take note of a connection that is closed."""


class Connection(asyncio.Protocol):
    """Writes the requests of one worker, one after the other, and reads the answers."""

    __slots__ = (
        "_file",
        "_head",
        "_headers",
        "_is_busy",
        "_is_lost",
        "_loop",
        "_method",
        "_owner",
        "_reader",
        "_transport",
        "deadline",
        "rests_since",
        "worker",
    )
    _transport: asyncio.Transport

    def __init__(self, owner: Owner, worker: Worker) -> None:
        self._loop = asyncio.get_running_loop()
        self._owner = owner
        self._reader = AnswerReader()
        self._head: RequestHead | None = None
        self._method = self._headers = b""
        self._file = -1  # where requests can be written to without the transport
        self._is_busy = self._is_lost = False
        self.worker = worker
        self.deadline = math.inf  # of the request under way
        self.rests_since = 0.0

    @property
    def is_busy(self) -> bool:
        """True while a request is under way: something of it was written, and no answer is complete."""
        return self._is_busy

    @property
    def is_usable(self) -> bool:
        """True if a request could be written now."""
        return not (self._is_lost or self._transport.is_closing())

    @property
    def keep_alive(self) -> int | None:
        """Seconds for which the server keeps an idle connection, if it says so."""
        return self._reader.keep_alive

    def work(self) -> None:
        """Take the next request and write it; rest if there is none."""
        order = self.worker.take()
        if order is None:
            self.rests_since = self._loop.time()
            self._owner.rest(self)
            return
        (head, target, body), timeout = order
        if head is not self._head:
            self._head, self._method = head, head.method.encode("ascii")
            self._headers = self._owner.endpoint.render_headers(head)
        self._reader.start()
        self._is_busy = True
        self.deadline = deadline = self._loop.time() + timeout
        self._write(
            b"%b %b HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b"
            % (self._method, target.encode("ascii"), self._headers, len(body), body)
        )
        self._owner.watch(deadline)

    def _write(self, data: bytes) -> None:
        """Write a request at once, if nothing is in its way.

        uvloop keeps what is written until the end of its round. A process that is frozen within a round would send
        all of it when it wakes up, long after the gate was asked.
        """
        if self._file < 0:
            self._transport.write(data)
            return
        try:
            written = os.write(self._file, data)
        except BlockingIOError:
            written = 0
        except OSError as error:
            self._fail_unsent(describe_loss(error))
            return
        if written < len(data):
            self._transport.write(data[written:])

    def wake(self) -> bool:
        """Work again after a rest. Return False if the server has closed the connection meanwhile."""
        if not self.is_usable or is_readable(self._transport):
            self.abort()
            return False
        self.work()
        return True

    def check_deadline(self, now: float, paused: bool) -> None:
        """Give up the request under way if its time is over."""
        if self._is_busy and now >= self.deadline:
            self._fail("no complete answer in time", paused)

    def give_up(self, reason: str) -> None:
        """Close the connection, whatever it is doing."""
        if self._is_busy:
            self._fail(reason)
        else:
            self.close()

    def close(self) -> None:
        """Close the connection in order: nothing is under way."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def _answered(self) -> None:
        self._is_busy = False
        self.deadline = math.inf
        reader = self._reader
        # An answer that came before the whole request was out leaves the rest of it in the way of the next.
        is_reusable = reader.is_reusable and not self._transport.get_write_buffer_size()
        self.worker.finish(reader.answer)
        if is_reusable and self.is_usable:
            self.work()
        else:
            self.abort()

    def _fail_unsent(self, reason: str) -> None:
        self._is_busy = False
        self.deadline = math.inf
        self.abort()
        self.worker.finish(NoAnswer(False, f"no connection: {reason}"))

    def _fail(self, reason: str, paused: bool = False) -> None:
        self._is_busy = False
        self.deadline = math.inf
        self.abort()
        self.worker.finish(NoAnswer(True, f"no valid answer: {reason}", paused))

    # Called by the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # which uvloop's is in all but name
        if os.name == "posix" and transport.get_extra_info("sslcontext") is None:
            self._file = transport.get_extra_info("socket").fileno()

    def data_received(self, data: bytes) -> None:
        if not self._is_busy:
            self.abort()  # an answer that nobody asked for could be taken for that of the next request
            return
        try:
            is_complete = self._reader.feed(data)
        except BadAnswer as error:
            self._fail(str(error))
            return
        if is_complete:
            self._answered()

    def eof_received(self) -> None:
        if self._is_busy and self._reader.end():
            self._answered()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._is_busy:
            self._fail(describe_loss(exc))
        self._owner.lose(self)


def describe_loss(error: Exception | None) -> str:
    """Name the reason why a connection was lost."""
    if error is None:
        return "the server closed the connection"
    return f"connection lost: {error}" if str(error) else f"connection lost: {type(error).__name__}"
