"""HTTP protocol of uvicorn, with a limit of the time in which a request may arrive, and with problem documents.

Connections of slow callers are closed, so that they cannot take up all. uvicorn limits only how long a connection
may be idle between two requests. Here a timer runs from the first byte,
or from the connection, to the end of a request. Most requests arrive in one piece and need no timer.
"""

import asyncio
from datetime import timedelta

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.api.edge import observer
from services.api.edge.problems import TooSlow, Unreadable, plain
from services.api.edge.response_headers import with_common_headers


def protocol_with_timeout(timeout: timedelta) -> type[HttpToolsProtocol]:
    """Return a protocol for uvicorn that gives every request this time to arrive."""

    class Protocol(_ProtocolWithTimeout):
        read_timeout = timeout.total_seconds()

    return Protocol


class _ProtocolWithTimeout(HttpToolsProtocol):
    """uvicorn's protocol with a timer, and with answers like those of the application.

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

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP request with a problem document, and close the connection."""
        with observer.observe_unread_request("unreadable_request_refused") as request_id:
            self.transport.write(_to_bytes(plain(Unreadable(msg)), request_id))
        self.transport.close()

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
            with observer.observe_unread_request("slow_caller_closed") as request_id:
                self.transport.write(_to_bytes(plain(TooSlow()), request_id))
        self.transport.close()

    def _is_answering(self) -> bool:
        # Before the first request this is None, although uvicorn's types do not allow it.
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]


def _to_bytes(response: Response, request_id: str) -> bytes:
    headers = with_common_headers(response.raw_headers, request_id)
    head = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[response.status_code] + head + b"\r\n" + bytes(response.body)
