"""Sign-in by an identity provider: the authorization code flow with PKCE (RFC 7636).

The console keeps no state. What a login began with travels in a short-lived cookie of the browser that no script
can read, and comes back with the answer of the provider. The API verifies the token that results.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import quote_plus, urlencode

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from services.console.settings import ConsoleSettings
from shared.issuer import Issuer, IssuerUnavailable, open_http

RETURN = "/sign-in/oidc/return"
LOGIN_LIFETIME = 600  # seconds in which a person signs in at the provider


class LoginRefused(Exception):
    """Raised when the provider did not let the person in, or the answer belongs to no login of this browser."""


class Login(BaseModel):
    """Secrets that one login began with, and the page to return to."""

    model_config = ConfigDict(frozen=True)

    state: str  # the answer belongs to this browser
    nonce: str  # the token belongs to this login
    verifier: str  # the code belongs to us (PKCE)
    back: str

    @classmethod
    def begin(cls, back: str) -> "Login":
        """Return a new login."""
        return cls(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            back=back,
        )

    def as_cookie(self) -> str:
        """Return the login as the value of a cookie."""
        return base64.urlsafe_b64encode(self.model_dump_json().encode()).decode()

    @classmethod
    def from_cookie(cls, value: str) -> "Login":
        """Return the login of a cookie. Raises LoginRefused."""
        try:
            return cls.model_validate_json(base64.urlsafe_b64decode(value))
        except (binascii.Error, ValueError, ValidationError) as error:
            raise LoginRefused("the cookie of the login is missing or damaged") from error

    @property
    def challenge(self) -> str:
        """Digest of the verifier, which the provider keeps until the code comes back."""
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


class _Tokens(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id_token: str


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """The configured provider, and our name and secret at it."""

    name: str
    issuer: Issuer
    http: httpx.AsyncClient
    client_id: str
    client_secret: str | None
    scopes: str

    async def address(self, login: Login, redirect_uri: str) -> str:
        """Return the provider's page on which the person signs in. Raises IssuerUnavailable."""
        metadata = await self.issuer.metadata()
        query = urlencode(
            {
                "response_type": "code",
                "client_id": self.client_id,
                "redirect_uri": redirect_uri,
                "scope": self.scopes,
                "state": login.state,
                "nonce": login.nonce,
                "code_challenge": login.challenge,
                "code_challenge_method": "S256",
            }
        )
        separator = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{separator}{query}"

    async def id_token(self, login: Login, answer: Mapping[str, str], redirect_uri: str) -> str:
        """Exchange the code of the provider's answer for an ID token.

        Raises:
            LoginRefused: the provider refused, or its answer belongs to no login of this browser.
            IssuerUnavailable: the provider does not answer.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), login.state.encode()):
            raise LoginRefused("the state is not that of this browser's login")
        if answer.get("iss", self.issuer.url) != self.issuer.url:
            raise LoginRefused("another provider has answered")
        if "code" not in answer:
            raise LoginRefused(f"the provider answered {answer.get('error', 'nothing')[:100]}")
        form = {
            "grant_type": "authorization_code",
            "code": answer["code"],
            "redirect_uri": redirect_uri,
            "code_verifier": login.verifier,
        }
        metadata = await self.issuer.metadata()
        return await self._exchange(metadata.token_endpoint, form)

    async def _exchange(self, endpoint: str, form: dict[str, str]) -> str:
        auth = None
        if self.client_secret is None:
            form["client_id"] = self.client_id
        else:  # both are encoded first (RFC 6749, 2.3.1)
            auth = httpx.BasicAuth(quote_plus(self.client_id), quote_plus(self.client_secret))
        try:
            answer = await self.http.post(
                endpoint, data=form, auth=auth or httpx.USE_CLIENT_DEFAULT, headers={"Accept": "application/json"}
            )
        except httpx.HTTPError as error:
            raise IssuerUnavailable(f"{endpoint} does not answer: {str(error) or type(error).__name__}") from error
        if answer.status_code >= 500:
            raise IssuerUnavailable(f"{endpoint} answered {answer.status_code}")
        try:
            return _Tokens.model_validate_json(answer.content).id_token
        except ValidationError as error:
            raise LoginRefused(f"the provider gave no ID token, but {answer.status_code}") from error


@asynccontextmanager
async def opened_provider(settings: ConsoleSettings) -> AsyncIterator[IdentityProvider | None]:
    """Yield the configured provider, if there is one."""
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        yield None
        return
    secret = settings.oidc_client_secret
    async with open_http() as http:
        yield IdentityProvider(
            name=settings.oidc_name,
            issuer=Issuer(settings.oidc_issuer, http),
            http=http,
            client_id=settings.oidc_client_id,
            client_secret=None if secret is None else secret.get_secret_value(),
            scopes=settings.oidc_scopes,
        )
