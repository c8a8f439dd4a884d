"""Public keys of the identity provider. They are fetched, remembered, and fetched again when they rotate."""

import asyncio
import time
from collections.abc import Callable

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet, RSAKey

from shared.issuer import Issuer, IssuerUnavailable

Key = RSAKey | ECKey

FRESH = 600.0  # seconds after which the keys are fetched again, so that a removed one is trusted no longer
USABLE = 3600.0  # seconds for which they are used while the provider does not answer
REFETCH_AFTER = 5.0  # seconds between two fetches: an unknown key id must not make a request of ours each time


class Keys:
    """The keys by which the provider signs at present."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = time.monotonic) -> None:
        self._issuer = issuer
        self._clock = clock
        self._lock = asyncio.Lock()
        self._keys: list[Key] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None

    async def find(self, key_id: str | None) -> Key | None:
        """Return the key with this id. Without an id, return the only key. An unknown id fetches the keys again.

        Raises:
            IssuerUnavailable: there are no keys that may be used, and none can be fetched.
        """
        if self._age() >= FRESH:
            await self._refresh(needed=self._age() >= USABLE)
        if (key := self._pick(key_id)) is None:
            await self._refresh(needed=False)
            key = self._pick(key_id)
        return key

    def _age(self) -> float:
        return USABLE if self._fetched_at is None else self._clock() - self._fetched_at

    def _pick(self, key_id: str | None) -> Key | None:
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.kid == key_id), None)

    async def _refresh(self, *, needed: bool) -> None:
        """Fetch the keys, unless that was tried a moment ago. A failure is raised only if they are needed."""
        async with self._lock:  # those who waited for it find what the first one fetched
            if self._tried_at is not None and self._clock() - self._tried_at < REFETCH_AFTER:
                if needed and self._age() >= USABLE:
                    raise IssuerUnavailable("the identity provider did not answer a moment ago")
                return
            self._tried_at = self._clock()
            try:
                self._keys = await self._fetch()
            except IssuerUnavailable:
                if needed:
                    raise
                return
            self._fetched_at = self._clock()

    async def _fetch(self) -> list[Key]:
        metadata = await self._issuer.metadata()
        body = await self._issuer.fetch(metadata.jwks_uri)
        try:
            keys = KeySet.import_key_set(orjson.loads(body))
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise IssuerUnavailable(f"the keys of {self._issuer.url} cannot be read") from error
        return [key for key in keys if isinstance(key, RSAKey | ECKey) and key.get("use", "sig") == "sig"]
