"""The person behind a request: the token of the session cookie is handed to the API.

The console keeps no session and checks no token. The API decides what a token allows. The `__Host-` cookie is the
one behind TLS; on plain HTTP, which browsers allow it for loopback only, it has no prefix.
"""

from starlette.requests import Request

from services.console.rest.calls import Api

COOKIES = ("__Host-session", "session")


def token_of(request: Request) -> str | None:
    """Return the token of the request, if it has one that can be a header."""
    for name in COOKIES:
        token = request.cookies.get(name, "")
        if token and token.isascii() and token.isprintable() and " " not in token:
            return token
    return None


def api_for(request: Request) -> Api:
    """Return the API for the person of the request."""
    return Api(request.app.state.http, token_of(request), request.scope.get("request_id"))
