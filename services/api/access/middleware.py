"""Guard of the API: no request reaches a route without a token that allows it.

It looks at the path, the method and the headers only, so a caller without a token cannot make the API read a body.
"""

from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.api.access.authentication import Authenticator
from services.api.access.permissions import Permission, permission_of
from services.api.edge import observer, problems
from services.api.edge.origins import address_of, origin_of
from services.api.edge.principal import ANYBODY, Principal, numbers_are_masked
from services.api.edge.transactions import Database
from shared.access.roles import Role
from shared.errors import DatabaseUnavailable
from shared.issuer import IssuerUnavailable
from shared.ledger.audit import audit
from shared.same_origin import is_same_origin

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="mailing"'}
METRICS = "/metrics"


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Configured part of the guard."""

    is_open: bool  # True: every caller may do everything
    metrics_networks: tuple[IPv4Network | IPv6Network, ...]
    origins: frozenset[str]  # other sites whose pages may call the API, such as https://example.org


class AccessMiddleware:
    """Authenticates a request, checks its role, and refuses requests that another site's page has sent."""

    def __init__(self, app: ASGIApp, rules: AccessRules) -> None:
        self._app = app
        self._rules = rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._check(scope)
        await (refusal or self._app)(scope, receive, send)

    async def _check(self, scope: Scope) -> Response | None:
        """Return the refusal of a request, or None if it may pass."""
        path, method, headers = scope["path"], scope["method"], Headers(scope=scope)
        if path.rstrip("/") == METRICS:
            return None if self._may_read_metrics(scope) else _forbidden("Metrics are for allowed networks only.")
        if not path.startswith("/api/"):
            return None
        if not is_same_origin(method, headers) and headers.get("origin") not in self._rules.origins:
            return _forbidden("Another site's page has sent this request.", "urn:mailing:problem:cross-site")
        permission = permission_of(method, path)
        try:
            principal = await self._authenticate(scope, headers)
        except (DatabaseUnavailable, IssuerUnavailable) as error:
            return problems.unavailable(error)
        _begin(scope, principal, permission)
        if permission is not None and permission.role is None:
            return None
        if principal is None:
            return _unauthorized(headers)
        # An operation that is not in the table does not exist: the router answers 404 or 405.
        if permission is None or permission.role is None or principal.role.includes(permission.role):
            return None
        await _audit_refusal(scope)
        return _forbidden(
            f"{permission.operation} requires the role {permission.role}; yours is {principal.role}.",
            "urn:mailing:problem:role",
        )

    async def _authenticate(self, scope: Scope, headers: Headers) -> Principal | None:
        if self._rules.is_open:
            return ANYBODY
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        state = scope["app"].state
        authenticator: Authenticator = state.authenticator
        return await authenticator.find(state.database, token.strip())

    def _may_read_metrics(self, scope: Scope) -> bool:
        address = address_of(scope)
        return address is not None and any(
            ip_address(address) in network for network in self._rules.metrics_networks
        )


def _begin(scope: Scope, principal: Principal | None, permission: Permission | None) -> None:
    state = scope.setdefault("state", {})
    state["principal"] = principal
    state["operation"] = None if permission is None else permission.operation
    numbers_are_masked.set(principal is None or not principal.role.includes(Role.OPERATOR))
    if principal is not None:
        observer.request_authenticated(principal.actor)


async def _audit_refusal(scope: Scope) -> None:
    database: Database = scope["app"].state.database
    with suppress(DatabaseUnavailable):  # the refusal stands, whether or not it is written down
        await database.transaction(audit, origin_of(scope), refused=True)


def _unauthorized(headers: Headers) -> Response:
    detail = (
        "The token is not valid: it is unknown, expired or revoked."
        if "authorization" in headers
        else "Give a token: Authorization: Bearer <token>. `mailing token create` makes one."
    )
    return problems.answer(HTTPStatus.UNAUTHORIZED, detail, headers=_CHALLENGE)


def _forbidden(detail: str, kind: str = "about:blank") -> Response:
    return problems.answer(HTTPStatus.FORBIDDEN, detail, kind=kind)
