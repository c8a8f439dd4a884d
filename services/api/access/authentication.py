"""Authentication: turn the token of a request into its principal.

Tokens are read from PostgreSQL and remembered for a few seconds. So a revoked token, a disabled user and a changed
role take effect on every API within MAX_AGE, and a busy caller costs one query in that time.
"""

import time
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.oidc.programs import find_bearer
from services.api.access.oidc.sign_in import IdentityProvider
from services.api.access.queries import find_token
from services.api.edge.principal import Principal
from services.api.edge.transactions import Database
from shared.access.tokens import digest_of, is_token
from shared.contracts import utc_now
from shared.ledger.tokens import touch_token

MAX_AGE = 4.0  # seconds
MAX_REMEMBERED = 10_000  # tokens


class Authenticator:
    """Finds principals, and remembers those of tokens that are in force."""

    def __init__(self, provider: IdentityProvider | None = None) -> None:
        self._provider = provider if provider and provider.verifier.takes_access_tokens else None
        self._remembered: dict[bytes, tuple[Principal, float]] = {}

    async def find(self, database: Database, token: str) -> Principal | None:
        """Return the principal of the token; None if it is not in force.

        Raises:
            DatabaseUnavailable: the token could not be looked up.
            IssuerUnavailable: the keys of the identity provider could not be fetched.
        """
        is_ours = is_token(token)
        if not is_ours and (self._provider is None or token.count(".") != 2):
            return None
        digest = digest_of(token)
        principal, until = self._remembered.get(digest, (None, 0.0))
        if principal is not None and time.monotonic() < until:
            return principal
        seconds = MAX_AGE
        if is_ours:
            principal = await database.statement(_find_and_touch, digest, utc_now())
        else:
            assert self._provider is not None, "checked above"
            principal, seconds = await find_bearer(database, self._provider, token, utc_now())
        if principal is None:
            self._remembered.pop(digest, None)
            return None
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[digest] = principal, time.monotonic() + min(MAX_AGE, seconds)
        return principal

    def forget_all(self) -> None:
        """Read every token again; called when one was revoked here, so that it ends at once on this API."""
        self._remembered.clear()


async def _find_and_touch(connection: AsyncConnection, digest: bytes, now: datetime) -> Principal | None:
    found = await find_token(connection, digest, now)
    if found is None:
        return None
    if found.is_due_for_touch and found.principal.token_id is not None:
        await touch_token(connection, found.principal.token_id, now)
    return found.principal
