"""Settings of the API."""

from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import NoDecode

from services.api.access.middleware import AccessRules
from shared.settings import BrokerSettings, DatabaseSettings, Duration, PacingSettings

LOOPBACK: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def _split(value: object) -> object:
    """Split a list that is written with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class ApiSettings(DatabaseSettings, BrokerSettings, PacingSettings):
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
    api_grace: Duration = Field(timedelta(seconds=8), description="longest time to finish requests after SIGTERM")
    access: Literal["tokens", "open"] = Field(
        "tokens", description="`open` lets every caller do everything; for trusted networks only"
    )
    access_open_anywhere: bool = Field(
        False, description="confirms that access is open on an address that other machines reach"
    )
    metrics_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(_split)] = Field(
        LOOPBACK, description="networks that may read the API's /metrics without a token, with commas"
    )
    api_origins: Annotated[frozenset[str], NoDecode, BeforeValidator(_split)] = Field(
        frozenset(), description="other sites whose pages may send requests, such as https://example.org"
    )

    @model_validator(mode="after")
    def _is_closed_to_other_machines(self) -> "ApiSettings":
        if self.access == "open" and not self.access_open_anywhere and not _is_loopback(self.api_host):
            raise ValueError(
                f"MAILING_ACCESS=open on {self.api_host} lets everybody in: use tokens, listen on 127.0.0.1, or"
                " set MAILING_ACCESS_OPEN_ANYWHERE=true"
            )
        return self

    def access_rules(self) -> AccessRules:
        """Return the settings that the guard of the API needs."""
        return AccessRules(self.access == "open", self.metrics_allow, self.api_origins)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
