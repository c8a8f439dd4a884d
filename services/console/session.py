"""The person behind a request: the token of the session cookie is handed to the API.

The console keeps no session and checks no token. The API decides what a token allows. The `__Host-` cookie is the
one behind TLS; on plain HTTP, which browsers allow it for loopback only, it has no prefix.
"""

from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from services.console.rest.calls import Api

SECURE_COOKIE, PLAIN_COOKIE = "__Host-session", "session"
COOKIES = (SECURE_COOKIE, PLAIN_COOKIE)


def token_of(request: Request) -> str | None:
    """Return the token of the request, if it has one that can be a header."""
    for name in COOKIES:
        token = request.cookies.get(name, "")
        if token and token.isascii() and token.isprintable() and " " not in token:
            return token
    return None


def api_for(request: Request) -> Api:
    """Return the API for the person of the request."""
    address = request.client.host if request.client else None
    return Api(request.app.state.http, token_of(request), request.scope.get("request_id"), address)


def keep_token(request: Request, answer: Response, token: str, expires_at: datetime) -> None:
    """Keep the token of a new session in a cookie that no script and no other site can read."""
    is_secure = request.url.scheme == "https"
    answer.set_cookie(
        SECURE_COOKIE if is_secure else PLAIN_COOKIE,
        token,
        expires=expires_at,
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="lax",
    )


def forget_token(answer: Response) -> None:
    """Remove the cookie."""
    answer.delete_cookie(SECURE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    answer.delete_cookie(PLAIN_COOKIE, path="/", httponly=True, samesite="lax")
