"""Dependencies of the routes of access: who sends the request, and what remembers tokens."""

from typing import Annotated

from fastapi import Depends, Request

from services.api.access.authentication import Authenticator
from services.api.edge.principal import Principal


async def _principal(request: Request) -> Principal:
    principal = request.state.principal
    assert isinstance(principal, Principal), "the middleware lets no other request pass"
    return principal


async def _authenticator(request: Request) -> Authenticator:
    authenticator = request.app.state.authenticator
    assert isinstance(authenticator, Authenticator)
    return authenticator


PrincipalDep = Annotated[Principal, Depends(_principal)]
AuthenticatorDep = Annotated[Authenticator, Depends(_authenticator)]
