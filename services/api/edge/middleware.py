"""Outermost layer of the application: every request gets an id, limits of its body, and one line in the log.

It is plain ASGI, because every request passes it.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.api.edge import observer
from services.api.edge.body_limits import BodyLimits, LimitedBody
from services.api.edge.problems import UnknownHost, fault, plain
from services.api.edge.response_headers import with_common_headers
from shared.host_names import is_known_host


class EdgeMiddleware:
    """Middleware with limits for all paths, and with other limits for the paths of `upload_limits`.

    A request must name one of the hosts.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: AbstractSet[str],
        limits: BodyLimits,
        upload_limits: Mapping[str, BodyLimits],
    ) -> None:
        self._app = app
        self._hosts = hosts
        self._limits = limits
        self._upload_limits = upload_limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _end_with_slash(scope)
        body = LimitedBody(scope, receive, self._upload_limits.get(scope["path"], self._limits))
        with observer.observe_request(scope) as request:

            async def send_with_id(message: Message) -> None:
                if message["type"] == "http.response.start":
                    request.status = int(message["status"])
                    message["headers"] = with_common_headers(message["headers"], request.id)
                await send(message)

            is_known = is_known_host(Headers(scope=scope).get("host"), self._hosts)
            try:
                await (self._app if is_known else plain(UnknownHost()))(scope, body.receive, send_with_id)
            except Exception:
                observer.request_failed(request)
                if request.status is not None:
                    raise  # half an answer is sent: the connection must break, or it would pass for a whole one
                await fault()(scope, body.receive, send_with_id)


def _end_with_slash(scope: Scope) -> None:
    """Treat `/api/client` as `/api/client/`, without a redirect, which would lose bodies."""
    path: str = scope["path"]
    if path == "/docs" or (path.startswith("/api/") and not path.endswith("/")):
        scope["path"] = path + "/"
