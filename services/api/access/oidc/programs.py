"""Bearers of access tokens: programs, and people, that the identity provider lets in without a session of ours."""

from datetime import datetime
from typing import NamedTuple

from services.api.access.oidc.claims import SKEW, TokenRefused
from services.api.access.oidc.identity import program_of
from services.api.access.oidc.sign_in import IdentityProvider
from services.api.access.queries import find_subject
from services.api.edge.principal import Principal
from services.api.edge.transactions import Database


class Bearer(NamedTuple):
    """Principal of an access token, None if there is none, and for how many seconds the token lasts."""

    principal: Principal | None
    seconds: float


_NOBODY = Bearer(None, 0)


async def find_bearer(database: Database, provider: IdentityProvider, token: str, now: datetime) -> Bearer:
    """Return whom an access token stands for.

    A person of our table counts as that person. So a disabled user is not let in by a token of the provider.

    Raises:
        IssuerUnavailable, DatabaseUnavailable
    """
    try:
        claims, expires_at = await provider.verifier.verify_access_token(token, now)
    except TokenRefused:
        return _NOBODY
    seconds = (expires_at + SKEW - now).total_seconds()
    user = await database.statement(find_subject, str(claims["iss"]), str(claims["sub"]))
    role = provider.mapping.role_of(claims)
    if user is not None:
        role = role if provider.mapping.decides else user.role
        if user.disabled_at is not None or role is None:
            return _NOBODY
        return Bearer(Principal(user.login, role, user_id=user.id), seconds)
    return _NOBODY if role is None else Bearer(Principal(f"oidc:{program_of(claims)}", role), seconds)
