"""Identity provider (OpenID Connect): the document in which it publishes its addresses, fetched and remembered."""

import time
from collections.abc import Callable

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from shared.errors import MailingError

DISCOVERY = "/.well-known/openid-configuration"
FRESH = 3600.0  # seconds for which the document is not fetched again
MAX_BYTES = 512 * 1024
_TIMEOUT = httpx.Timeout(5, connect=2)


class IssuerUnavailable(MailingError):
    """Raised when the identity provider does not answer, or with something that cannot be used."""


class Metadata(BaseModel):
    """Addresses of an identity provider (OpenID Connect Discovery 1.0)."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


def open_http() -> httpx.AsyncClient:
    """Return the connections to an identity provider. It follows no redirect."""
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)


class Issuer:
    """The identity provider at one address."""

    def __init__(self, url: str, http: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self.url = url
        self._http = http
        self._clock = clock
        self._metadata: Metadata | None = None
        self._fetched_at = 0.0

    async def metadata(self) -> Metadata:
        """Return the addresses. An old document is used on while the provider does not answer.

        Raises:
            IssuerUnavailable: there is no document yet, and none can be fetched.
        """
        if self._metadata is not None and self._clock() - self._fetched_at < FRESH:
            return self._metadata
        try:
            fetched = self._parse(await self.fetch(self.url.rstrip("/") + DISCOVERY))
        except IssuerUnavailable:
            if self._metadata is None:
                raise
            return self._metadata
        self._metadata, self._fetched_at = fetched, self._clock()
        return fetched

    async def fetch(self, url: str) -> bytes:
        """Return the body at an address of the provider. Raises IssuerUnavailable."""
        try:
            async with self._http.stream("GET", url) as answer:
                body = b""
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > MAX_BYTES:
                        raise IssuerUnavailable(f"the identity provider's answer at {url} is too large")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise IssuerUnavailable(
                f"the identity provider at {self.url} does not answer: {str(error) or type(error).__name__}"
            ) from error
        if answer.status_code != httpx.codes.OK:
            raise IssuerUnavailable(f"the identity provider answered {answer.status_code} at {url}")
        return body

    def _parse(self, body: bytes) -> Metadata:
        try:
            metadata = Metadata.model_validate_json(body)
        except ValidationError as error:
            raise IssuerUnavailable(f"the document of {self.url} is not one of OpenID Connect") from error
        if metadata.issuer != self.url:
            raise IssuerUnavailable(f"the document of {self.url} is of another issuer: {metadata.issuer}")
        addresses = (metadata.authorization_endpoint, metadata.token_endpoint, metadata.jwks_uri)
        if self.url.startswith("https://") and not all(url.startswith("https://") for url in addresses):
            raise IssuerUnavailable(f"an address in the document of {self.url} is not https")
        return metadata
