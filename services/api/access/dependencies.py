"""Dependencies of the routes of access: who sends the request, and what remembers tokens."""

from typing import Annotated

from fastapi import Depends, Request

from services.api.access.authentication import Authenticator
from services.api.access.oidc.sign_in import IdentityProvider
from services.api.access.sessions import SessionTerms, SignIn
from services.api.edge.origins import origin_of
from services.api.edge.principal import Principal
from services.api.edge.refusals import NoIdentityProvider
from shared.contracts import utc_now


async def _principal(request: Request) -> Principal:
    principal = request.state.principal
    assert isinstance(principal, Principal), "the middleware lets no other request pass"
    return principal


async def _authenticator(request: Request) -> Authenticator:
    authenticator = request.app.state.authenticator
    assert isinstance(authenticator, Authenticator)
    return authenticator


async def _sign_in(request: Request) -> SignIn:
    terms = request.app.state.session_terms
    assert isinstance(terms, SessionTerms)
    return SignIn(origin_of(request.scope), utc_now(), terms, request.app.state.login_turns)


async def _identity_provider(request: Request) -> IdentityProvider:
    provider = request.app.state.identity_provider
    if provider is None:
        raise NoIdentityProvider
    assert isinstance(provider, IdentityProvider)
    return provider


PrincipalDep = Annotated[Principal, Depends(_principal)]
AuthenticatorDep = Annotated[Authenticator, Depends(_authenticator)]
SignInDep = Annotated[SignIn, Depends(_sign_in)]
IdentityProviderDep = Annotated[IdentityProvider, Depends(_identity_provider)]
