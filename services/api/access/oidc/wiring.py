"""Wiring of the identity provider, from settings."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.api.access.oidc.claims import Expected
from services.api.access.oidc.identity import RoleMapping
from services.api.access.oidc.keys import Keys
from services.api.access.oidc.sign_in import IdentityProvider
from services.api.access.oidc.verifier import Verifier
from shared.issuer import Issuer, open_http


@dataclass(frozen=True, slots=True)
class OidcRules:
    """Configured part of signing in by an identity provider."""

    issuer: str
    client_id: str  # audience of ID tokens
    audience: str | None  # of access tokens; None: they are not accepted
    required: Mapping[str, str]
    mapping: RoleMapping
    creates_users: bool


@asynccontextmanager
async def opened_provider(rules: OidcRules | None) -> AsyncIterator[IdentityProvider | None]:
    """Yield the provider with these rules, if there are any. The first token makes it fetch the keys."""
    if rules is None:
        yield None
        return
    async with open_http() as http:
        id_tokens = Expected(rules.issuer, rules.client_id, rules.required)
        access_tokens = None if rules.audience is None else Expected(rules.issuer, rules.audience, {})
        verifier = Verifier(Keys(Issuer(rules.issuer, http)), id_tokens, access_tokens)
        yield IdentityProvider(verifier, rules.mapping, rules.creates_users)
