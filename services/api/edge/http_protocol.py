"""HTTP protocol of uvicorn, with limits of time and size, and with problem documents.

Connections of slow callers are closed, so that they cannot take up all. uvicorn limits only how long a connection
may be idle between two requests. Here a timer runs from the first byte, or from the connection, to the end of a
request. Most requests arrive in one piece and need no timer. A second timer runs while a caller does not read.
"""

import asyncio
from datetime import timedelta

from starlette.responses import Response
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.api.edge import observer
from services.api.edge.problems import HeadTooLarge, TooSlow, Unreadable, plain
from services.api.edge.response_headers import with_common_headers

LARGEST_HEAD = 64 * 1024  # bytes of a request's line and headers
_DISCARD_TIME = 1.0  # seconds in which the rest of a head that is too large is thrown away


def protocol_with_timeouts(read_timeout: timedelta, write_timeout: timedelta) -> type[HttpToolsProtocol]:
    """Return a protocol for uvicorn that gives every request `read_timeout` to arrive.

    A caller who takes nothing of an answer for `write_timeout` is cut off.
    """

    class Protocol(_ProtocolWithLimits):
        pass

    Protocol.read_timeout = read_timeout.total_seconds()
    Protocol.write_timeout = write_timeout.total_seconds()
    return Protocol


class _ProtocolWithLimits(HttpToolsProtocol):
    """uvicorn's protocol with timers, and with answers like those of the application.

    `services.api.edge.body_limits` limits the bodies that the application waits for, because it can answer better.
    This class limits the rest: heads, and bodies of requests that were answered without them.
    """

    read_timeout: float  # seconds
    write_timeout: float
    _timer: asyncio.TimerHandle | None = None
    _stall_timer: asyncio.TimerHandle | None = None
    _head_size = 0
    _is_discarding = False
    _is_arriving = False  # a part of a request has arrived
    _is_in_head = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as in uvicorn
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._stop_stall_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_discarding:
            return
        if self._is_in_head:
            # The parser counts a header when it is complete, and this one may never be.
            self._head_size += len(data)
            if self._head_size > LARGEST_HEAD:
                self._refuse_head()
                return
        self._is_arriving = True  # even for an empty line, which begins no request
        super().data_received(data)
        if self._is_arriving and self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        self._is_arriving = self._is_in_head = True
        self._head_size = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._count_in_head(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_in_head(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_arriving = False
        self._stop_timer()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are no HTTP request with a problem document, and close the connection."""
        if self._head_size > LARGEST_HEAD:
            self._refuse_head()
            return
        with observer.observe_unread_request("unreadable_request_refused") as request_id:
            self.transport.write(_to_bytes(plain(Unreadable(msg)), request_id))
        self.transport.close()

    def pause_writing(self) -> None:
        """Watch that the caller reads: the buffer of the connection is full."""
        super().pause_writing()
        self._watch_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        self._stop_stall_timer()
        super().resume_writing()

    def _count_in_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > LARGEST_HEAD:
            raise ValueError("the head is too large")  # the parser stops, and `send_400_response` is called

    def _refuse_head(self) -> None:
        """Answer 431, and throw the rest away for a while: a reset connection would hide the answer."""
        self._is_discarding = True
        self._stop_timer()
        with observer.observe_unread_request("large_head_refused") as request_id:
            self.transport.write(_to_bytes(plain(HeadTooLarge(LARGEST_HEAD)), request_id))
        self.loop.call_later(_DISCARD_TIME, self.transport.close)

    def _watch_reader(self, unread: int) -> None:
        self._stall_timer = self.loop.call_later(self.write_timeout, self._abort_if_stalled, unread)

    def _abort_if_stalled(self, unread: int) -> None:
        """Cut off a caller who has read nothing. To close the connection would mean to wait until all is read."""
        now_unread = self.transport.get_write_buffer_size()
        if now_unread < unread:
            self._watch_reader(now_unread)
            return
        with observer.observe_unread_request("idle_reader_cut_off"):
            self.transport.abort()

    def _stop_stall_timer(self) -> None:
        if self._stall_timer is not None:
            self._stall_timer.cancel()
            self._stall_timer = None

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
