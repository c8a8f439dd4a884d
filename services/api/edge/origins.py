"""Origin of a change: the request, and who sent it."""

from dataclasses import replace
from ipaddress import ip_address

from starlette.types import Scope

from services.api.edge import observer
from services.api.edge.principal import ANYBODY, Principal
from shared.ledger.origin import Origin


def origin_of(scope: Scope) -> Origin:
    """Return the request that causes a change, and who sent it, for events and the audit."""
    state = scope.get("state", {})
    principal: Principal = state.get("principal") or ANYBODY
    return replace(
        observer.current_origin(),
        actor=principal.actor,
        operation=state.get("operation") or "unknown",
        token_id=principal.token_id,
        user_id=principal.user_id,
        address=address_of(scope),
    )


def address_of(scope: Scope) -> str | None:
    """Return the IP address of the caller; None behind a socket that has none."""
    host = (scope.get("client") or (None,))[0]
    try:
        return str(ip_address(host)) if host else None
    except ValueError:
        return None
