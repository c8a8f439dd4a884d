"""Every request passes here: it gets an id, and its answer the headers that keep a browser safe.

A request that changes something must come from one of the console's own pages. Browsers say where a request comes
from (`Sec-Fetch-Site`, else `Origin`); a request without either comes from no browser.
"""

import re
import time
from collections.abc import Set as AbstractSet
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.host_names import is_known_host
from shared.same_origin import is_same_origin

log = structlog.get_logger()

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",  # the framework's style has its small pictures inside
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_PROBES = {"/healthz", "/readyz"}
_SANE_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NUMBER = re.compile(r"7[0-9]{10}")
_SECRET = re.compile(r"mailing_[0-9A-Za-z]+")  # the token of a one-time link


class Edge:
    """The outermost layer of the application."""

    def __init__(self, app: ASGIApp, hosts: AbstractSet[str]) -> None:
        """Serve the application to requests that name one of the hosts."""
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        given = headers.get("x-request-id", "")
        scope["request_id"] = given if _SANE_ID.fullmatch(given) else uuid4().hex
        began, status, is_complete = time.perf_counter(), 0, False

        async def send_safely(message: Message) -> None:
            nonlocal status, is_complete
            is_complete = message["type"] == "http.response.body" and not message.get("more_body", False)
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    answered.setdefault(name, value)
                answered.setdefault("Cache-Control", "no-store")
                answered["X-Request-ID"] = scope["request_id"]
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=scope["request_id"]):
            app = self._app if is_same_origin(scope["method"], headers) else _refused
            if not is_known_host(headers.get("host"), self._hosts):
                app = _unknown_host
            try:
                await app(scope, receive, send_safely)
            except Exception:
                # The page of `problems` is out, and the log has the traceback. Half an answer must break off.
                if not is_complete:
                    raise
            _log_answer(scope, status, time.perf_counter() - began)


def _log_answer(scope: Scope, status: int, took: float) -> None:
    quiet = scope["path"] in _PROBES or scope["path"].startswith("/static/")
    (log.debug if quiet else log.info)(
        "page_answered",
        method=scope["method"],
        path=_SECRET.sub("mailing_***", _NUMBER.sub("7**********", scope["path"][:200])),
        status=status,
        duration_ms=round(took * 1000, 1),
    )


async def _unknown_host(scope: Scope, receive: Receive, send: Send) -> None:
    text = "The console is not known under the host that the request names. MAILING_HOSTS lists its names."
    await PlainTextResponse(text, 421)(scope, receive, send)


async def _refused(scope: Scope, receive: Receive, send: Send) -> None:
    answer = PlainTextResponse("This request comes from another site, so it was not carried out.", 403)
    await answer(scope, receive, send)
