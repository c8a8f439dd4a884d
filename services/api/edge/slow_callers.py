"""Slow callers: connections whose requests do not arrive in time are closed, so that they cannot take up all.

uvicorn limits only how long a connection may be idle between two requests. Here a timer runs from the first byte,
or from the connection, to the end of a request. Most requests arrive in one piece and need no timer.
"""

import asyncio
from datetime import timedelta

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.api.edge import observer
from services.api.edge.problems import TooSlow, plain


def protocol_with_timeout(timeout: timedelta) -> type[HttpToolsProtocol]:
    """Return a protocol for uvicorn that gives every request this time to arrive."""

    class Protocol(_ProtocolWithTimeout):
        read_timeout = timeout.total_seconds()

    return Protocol


class _ProtocolWithTimeout(HttpToolsProtocol):
    """uvicorn's protocol with a timer.

    `services.api.edge.body_limits` limits the bodies that the application waits for, because it can answer better.
    This timer limits the rest: heads, and bodies of requests that were answered without them.
    """

    read_timeout: float  # seconds
    _timer: asyncio.TimerHandle | None = None
    _is_arriving = False  # a part of a request has arrived
    _is_in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._is_arriving = True  # even for an empty line, which begins no request
        super().data_received(data)
        if self._is_arriving and self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._is_arriving = self._is_in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_arriving = False
        self._stop_timer()
        super().on_message_complete()

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.read_timeout, self._close_if_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _close_if_late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._is_answering():
            self._start_timer()  # the answer has limits of its own, and the next request can wait
            return
        if self._is_in_head:
            observer.slow_caller_closed()
            self.transport.write(_to_bytes(plain(TooSlow())))
        self.transport.close()

    def _is_answering(self) -> bool:
        # Before the first request this is None, although uvicorn's types do not allow it.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]


def _to_bytes(response: Response) -> bytes:
    headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    return STATUS_LINE[response.status_code] + headers + b"\r\n" + bytes(response.body)
