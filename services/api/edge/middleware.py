"""What every request passes on its way in and out: an id, limits to its body's size and time, a line in the log.

Plain ASGI, for it is in the way of everything. A body is counted as it comes, whatever its header claims; an
error that nobody foresaw ends here as a 500, with its traceback in the log.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.edge import problems
from services.api.edge.metrics import IN_FLIGHT, count_request, route_of
from shared.telemetry import tracing
from shared.telemetry.redaction import without_numbers

log = structlog.get_logger()

_SANE_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_PROBES = ("/healthz", "/readyz", "/metrics")  # asked for every few seconds, by machines


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """Limits of a request's body: bytes in all, time in all, and time until the next piece."""

    size: int
    time: timedelta
    pause: timedelta


class EdgeMiddleware:
    """The outermost layer of the application. `upload_limits` has other limits for some paths."""

    def __init__(self, app: ASGIApp, limits: BodyLimits, upload_limits: Mapping[str, BodyLimits]) -> None:
        self._app = app
        self._limits = limits
        self._upload_limits = upload_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _end_with_slash(scope)
        passage = _Passage(scope, receive, send, self._upload_limits.get(scope["path"], self._limits))
        # What is bound further in, such as the id of what was created, ends with the task: each request has one.
        tokens = structlog.contextvars.bind_contextvars(request_id=passage.request_id)
        try:
            with IN_FLIGHT.track_inprogress(), tracing.as_current(passage.span):
                await self._answer(passage)
            passage.tell()
        finally:
            structlog.contextvars.reset_contextvars(**tokens)

    async def _answer(self, passage: "_Passage") -> None:
        try:
            await self._app(passage.scope, passage.receive, passage.send)
        except Exception:
            log.exception("request_failed", path=passage.path)
            if passage.status is not None:
                raise  # half an answer is out: the connection must break, or it would pass for a whole one
            await problems.fault()(passage.scope, passage.receive, passage.send)


class _Passage:
    """One request on its way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: BodyLimits) -> None:
        self.scope = scope
        self.path: str = scope["path"][:200]
        headers = dict(scope["headers"])
        traceparent = headers.get(b"traceparent", b"").decode("latin-1")
        self.is_probe = self.path.rstrip("/") in _PROBES
        self.span = None if self.is_probe else tracing.start_trace("request", traceparent or None)
        self.request_id = _request_id(headers.get(b"x-request-id", b""), traceparent, self.span)
        self.status: int | None = None
        self._claimed = _length(headers.get(b"content-length", b""))
        self._received = 0
        self._body_limit = limits.size
        self._complete = False
        self._now = asyncio.get_running_loop().time
        self._pause = limits.pause.total_seconds()
        self._deadline = self._now() + limits.time.total_seconds()
        self._receive, self._send = receive, send
        self._began = time.perf_counter()

    async def receive(self) -> Message:
        # Looked at before anything is asked for, so that a caller who waits for "100 Continue" sends nothing.
        if self._claimed > self._body_limit:
            raise problems.TooLarge(self._body_limit)
        message = await self._next()
        self._received += len(message.get("body", b""))
        if self._received > self._body_limit:
            raise problems.TooLarge(self._body_limit)
        return message

    async def _next(self) -> Message:
        """What comes next, until the body is complete in time; then whatever uvicorn has to say."""
        if self._complete:
            return await self._receive()
        try:
            async with asyncio.timeout_at(min(self._now() + self._pause, self._deadline)):
                message = await self._receive()
        except TimeoutError:
            raise problems.TooSlow from None
        self._complete = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = int(message["status"])
            message["headers"] = [*message["headers"], (b"x-request-id", self.request_id.encode())]
        await self._send(message)

    def tell(self) -> None:
        """Counts the request, and logs the one line on it. No query: there may be a phone number in it."""
        took = time.perf_counter() - self._began
        if not self.is_probe and self.status is not None:
            count_request(self.scope, self.status, took)
        # What is in the path, of /api/mailing/{mailing_id}/: so that all about one mailing can be found.
        params = self.scope.get("path_params", {}).items()
        ids = {name: int(value) for name, value in params if _is_id(value) and without_numbers(value) == value}
        (log.debug if self.is_probe else log.info)(
            "request_answered",
            method=self.scope["method"],
            path=without_numbers(self.path),  # somebody may take a number for an id
            status=self.status,
            duration_ms=round(took * 1000, 1),
            **ids,
        )
        if self.span is not None:
            self._end_span(self.span, ids)

    def _end_span(self, span: tracing.Span, ids: Mapping[str, int]) -> None:
        method, route = self.scope["method"], route_of(self.scope)
        http = {"http.request.method": method, "http.route": route, "http.response.status_code": self.status}
        tracing.end_span(
            span,
            name=f"{method} {route}",
            failed=self.status is None or self.status >= 500,
            attributes={**http, **ids, "request_id": self.request_id},
        )


def _end_with_slash(scope: Scope) -> None:
    """`/api/client` is `/api/client/`: answered as such, without a redirect, which would lose bodies."""
    path: str = scope["path"]
    if path == "/docs" or (path.startswith("/api/") and not path.endswith("/")):
        scope["path"] = path + "/"


def _request_id(given: bytes, traceparent: str, span: tracing.Span | None) -> str:
    """Return the caller's id. Without one, it is made of the caller's `traceparent`, or of the span's trace."""
    if _SANE_ID.fullmatch(given):
        return given.decode()
    if caller := _TRACEPARENT.fullmatch(traceparent):
        return f"{caller[1]}-{caller[2]}"
    return uuid4().hex if span is None else span.trace_id


def _length(given: bytes) -> int:
    return int(given) if given.isdigit() and len(given) < 19 else 0


def _is_id(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20
