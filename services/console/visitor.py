"""The person who looks at a page: the name, and the role, so that pages offer only what the role may do.

The API decides what a person may do. A page without the role offers everything, and shows the refusal.
"""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from services.console.remembering import Remembered
from services.console.rest.calls import Api
from services.console.rest.errors import ApiError
from services.console.session import api_for
from shared.access.roles import Role

REMEMBERED = 15.0  # seconds; so long a page may offer what a changed role does not allow any more
_WITHOUT = ("/static/", "/healthz", "/readyz", "/preferences/")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Name and role of a person; the role is None if it is not known."""

    name: str = ""
    role: Role | None = None

    def may_act_as(self, role: str) -> bool:
        """Return True if the person may do what the role may do, as far as is known."""
        return self.role is None or self.role.includes(Role(role))


_NOBODY = Visitor()


class Visitors:
    """Layer of the application that finds out who looks, before the page is made."""

    def __init__(self, app: ASGIApp) -> None:
        """Serve the application."""
        self._app = app
        self._known: Remembered[Visitor] = Remembered(REMEMBERED, most=1_000)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not scope["path"].startswith(_WITHOUT):
            api = api_for(Request(scope))
            if api.token is not None:
                scope["visitor"] = await self._find(api)
        await self._app(scope, receive, send)

    async def _find(self, api: Api) -> Visitor:
        async def ask() -> Visitor:
            me = await api.me()
            return Visitor(me.user.name if me.user else me.actor, me.role)

        try:
            return await self._known.get(api.token, ask)
        except ApiError:  # the page itself says so
            return _NOBODY


def visitor_of(request: Request) -> Visitor:
    """Return the person behind the request."""
    visitor = request.scope.get("visitor", _NOBODY)
    assert isinstance(visitor, Visitor)
    return visitor
