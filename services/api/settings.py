"""Settings of the API."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from services.api.access.middleware import AccessRules
from services.api.access.oidc.identity import RoleMapping
from services.api.access.oidc.wiring import OidcRules
from services.api.access.sessions import SessionTerms
from shared.access.roles import Role
from shared.settings import (
    LOOPBACK,
    BrokerSettings,
    DatabaseSettings,
    Duration,
    HttpSettings,
    OidcSettings,
    PacingSettings,
    WebhookSettings,
    is_loopback,
    split,
    split_pairs,
)


class ApiSettings(DatabaseSettings, BrokerSettings, PacingSettings, OidcSettings, HttpSettings, WebhookSettings):
    """Address to listen on, and limits of requests."""

    api_host: str = Field("127.0.0.1", description="address to listen on")
    api_port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 picks a free one")
    api_body_limit: int = Field(64 * 1024, ge=1024, description="largest body of a request, in bytes")
    api_connections: int = Field(
        5,
        ge=2,
        description="connections to PostgreSQL: this many for single statements, and as many for transactions",
    )
    api_upload_limit: int = Field(1024**3, ge=1024, description="largest CSV file of clients, in bytes")
    api_upload_timeout: Duration = Field(
        timedelta(minutes=10), gt=timedelta(0), description="longest time in which such a file may arrive"
    )
    api_transfers: int = Field(2, ge=1, description="largest number of imports and exports at the same time")
    api_patience: Duration = Field(
        timedelta(seconds=6),
        description="longest time that a request waits for PostgreSQL; then it is answered 503",
    )
    api_read_timeout: Duration = Field(
        timedelta(seconds=10),
        description="longest time in which the head of a request may arrive; the same for its body",
    )
    api_write_timeout: Duration = Field(
        timedelta(seconds=30),
        gt=timedelta(0),
        description="longest time in which the reader of an answer takes nothing; then the connection is cut",
    )
    api_grace: Duration = Field(timedelta(seconds=8), description="longest time to finish requests after SIGTERM")
    access: Literal["tokens", "open"] = Field(
        "tokens", description="`open` lets every caller do everything; for trusted networks only"
    )
    access_open_anywhere: bool = Field(
        False, description="confirms that access is open on an address that other machines reach"
    )
    metrics_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(split)] = Field(
        LOOPBACK, description="networks that may read the API's /metrics without a token, with commas"
    )
    api_origins: Annotated[frozenset[str], NoDecode, BeforeValidator(split)] = Field(
        frozenset(), description="other sites whose pages may send requests, such as https://example.org"
    )

    api_tls_certificate: Path | None = Field(None, description="file of the certificate with its chain, for TLS")
    api_tls_key: Path | None = Field(None, description="file of its private key")
    session_lifetime: Duration = Field(
        timedelta(hours=12), ge=timedelta(minutes=1), description="longest time that a person stays signed in"
    )
    session_idle: Duration = Field(
        timedelta(hours=1), ge=timedelta(minutes=2), description="a session without a request ends after this time"
    )
    oidc_audience: str | None = Field(
        None, description="audience of the provider's access tokens that programs may send; none: no such tokens"
    )
    oidc_roles_claim: str = Field("groups", description="claim with the groups or roles of a person")
    oidc_roles: Annotated[dict[str, Role], NoDecode, BeforeValidator(split_pairs)] = Field(
        default_factory=dict, description="our role for each group, such as `mailing-admins=admin`"
    )
    oidc_default_role: Role | None = Field(None, description="role of people who have none of the groups")
    oidc_required: Annotated[dict[str, str], NoDecode, BeforeValidator(split_pairs)] = Field(
        default_factory=dict, description="claims that an ID token must have, such as `hd=example.org`"
    )
    oidc_create_users: bool = Field(False, description="true makes a user of whoever signs in for the first time")

    @model_validator(mode="after")
    def _oidc_is_consistent(self) -> "ApiSettings":
        if self.oidc_audience is not None and self.oidc_audience == self.oidc_client_id:
            raise ValueError(
                "MAILING_OIDC_AUDIENCE must differ from MAILING_OIDC_CLIENT_ID: its tokens are ID tokens"
            )
        if self.oidc_create_users and not self.oidc_roles and self.oidc_default_role is None:
            raise ValueError("MAILING_OIDC_CREATE_USERS needs MAILING_OIDC_ROLES or MAILING_OIDC_DEFAULT_ROLE")
        return self

    @model_validator(mode="after")
    def _tls_is_complete(self) -> "ApiSettings":
        if (self.api_tls_certificate is None) is not (self.api_tls_key is None):
            raise ValueError("MAILING_API_TLS_CERTIFICATE and MAILING_API_TLS_KEY are set together, or neither")
        return self

    @model_validator(mode="after")
    def _is_closed_to_other_machines(self) -> "ApiSettings":
        if self.access == "open" and not self.access_open_anywhere and not is_loopback(self.api_host):
            raise ValueError(
                f"MAILING_ACCESS=open on {self.api_host} lets everybody in: use tokens, listen on 127.0.0.1, or"
                " set MAILING_ACCESS_OPEN_ANYWHERE=true"
            )
        return self

    def address(self) -> tuple[str, int]:
        """Return where the API listens."""
        return self.api_host, self.api_port

    def access_rules(self) -> AccessRules:
        """Return the settings that the guard of the API needs."""
        return AccessRules(self.access == "open", self.metrics_allow, self.api_origins)

    def session_terms(self) -> SessionTerms:
        """Return how long sessions last."""
        return SessionTerms(self.session_lifetime, self.session_idle)

    def oidc_rules(self) -> OidcRules | None:
        """Return how people sign in by an identity provider; None if there is none."""
        if self.oidc_issuer is None or self.oidc_client_id is None:
            return None
        mapping = RoleMapping(self.oidc_roles_claim, self.oidc_roles, self.oidc_default_role)
        return OidcRules(
            issuer=self.oidc_issuer,
            client_id=self.oidc_client_id,
            audience=self.oidc_audience,
            required=self.oidc_required,
            mapping=mapping,
            creates_users=self.oidc_create_users,
        )
