"""Connections whose requests do not arrive in time are cut off, lest slow callers hold all there are.

uvicorn bounds only how long a connection may be idle between two requests. Here a timer runs from the first byte,
or from the connection, to the end of a request. Most requests come in one piece and need none.
"""

import asyncio
from datetime import timedelta

import structlog
from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.api.edge import problems

log = structlog.get_logger()


def cutting_off_after(timeout: timedelta) -> type[HttpToolsProtocol]:
    """A protocol for uvicorn that gives a request so long to arrive."""

    class Bounded(_ImpatientProtocol):
        read_timeout = timeout.total_seconds()

    return Bounded


class _ImpatientProtocol(HttpToolsProtocol):
    """uvicorn's, with a timer.

    `services.api.edge.middleware` bounds the bodies that the application waits for, because it can answer better.
    This timer bounds the rest: heads, and bodies of requests that were answered without them.
    """

    read_timeout: float  # seconds
    _timer: asyncio.TimerHandle | None = None
    _arriving = False  # something has come that is not a whole request yet
    _in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._arriving = True  # even if it is but a blank line, with which no message begins
        super().data_received(data)
        if self._arriving and self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._arriving = self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._arriving = False
        self._stop_timer()
        super().on_message_complete()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.read_timeout, self._time_is_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _time_is_up(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._is_answering():
            self._start_timer()  # the answer has bounds of its own, and what comes behind it can wait
            return
        if self._in_head:
            log.info("slow_caller_cut_off")
            self.transport.write(_on_the_wire(problems.plain(problems.TooSlow())))
        self.transport.close()

    def _is_answering(self) -> bool:
        # uvicorn's types do not say so, but before the first request this is None.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]


def _on_the_wire(response: Response) -> bytes:
    headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    return STATUS_LINE[response.status_code] + headers + b"\r\n" + bytes(response.body)
