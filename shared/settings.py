"""Settings that services share, from the environment (prefix `MAILING_`), a file `.env`, or one file for each.

Each service has one frozen class of its own, which inherits from these. `__main__` builds it once and passes
it down. Durations are given in seconds or as ISO 8601 (`PT5S`).
"""

import socket
import sys
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AnyHttpUrl,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.host_names import LOOPBACK_NAMES, split_names
from shared.telemetry.log import Level, MessageSample


def _seconds(value: object) -> object:
    """Take `5` and `0.25` in the environment as seconds. By itself, pydantic takes only numbers as seconds."""
    if not isinstance(value, str) or value.startswith("P"):  # pydantic reads ISO 8601
        return value
    try:
        return timedelta(seconds=float(value))
    except (ValueError, OverflowError):
        raise ValueError(f"must be a number of seconds, such as 5 or 0.25, and not {value[:40]!r}") from None


LOOPBACK: tuple[IPv4Network | IPv6Network, ...] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))


def split(value: object) -> object:
    """Split a list that is written with commas."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def split_pairs(value: object) -> object:
    """Split pairs that are written as `name=value`, with commas between them."""
    if not isinstance(value, str):
        return value
    parts = [part.strip() for part in value.split(",") if part.strip()]
    if not all("=" in part for part in parts):
        raise ValueError("must look like name=value, with commas between several")
    return {name.strip(): given.strip() for name, _, given in (part.rpartition("=") for part in parts)}


def is_loopback(host: str) -> bool:
    """Return True if only this machine reaches the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


Duration = Annotated[timedelta, BeforeValidator(_seconds)]

SECRETS = Path("/run/secrets")  # the folder of Docker and Kubernetes, with files such as `mailing_provider_token`


class LogSettings(BaseSettings):
    """Logs and traces."""

    model_config = SettingsConfigDict(env_prefix="MAILING_", env_file=".env", extra="ignore", frozen=True)

    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Level = "info"
    log_sample: float = Field(
        0, ge=0, le=1, description="share of the messages for which each step is logged at level info"
    )
    otel_endpoint: AnyHttpUrl | None = Field(
        None, description="endpoint for traces, by OTLP over HTTP: http://host:4318"
    )
    otel_sample: float = Field(1, ge=0, le=1, description="share of the jobs that are traced")
    host_name: str = Field(default_factory=socket.gethostname, max_length=100)

    def message_sample(self) -> MessageSample:
        """Return the sample of messages for which each step is logged."""
        return MessageSample(self.log_level, self.log_sample)

    def address(self) -> tuple[str, int]:
        """Return where the service listens; port 0 if it does not matter."""
        return "", 0


class DatabaseSettings(LogSettings):
    """Address of PostgreSQL."""

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/database")

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: SecretStr) -> SecretStr:
        scheme, separator, rest = url.get_secret_value().partition("://")
        if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"} or not _has_port(url):
            raise ValueError("must look like postgresql://user:password@host:port/database")
        if rest.count("@") > 1:  # a part of the password would be taken for the host, and be logged
            raise ValueError("an @ in the user or the password must be written as %40")
        return SecretStr(f"postgresql://{rest}")  # psycopg is SQLAlchemy's default


def _has_port(url: SecretStr) -> bool:
    """Return False for a port that is no number, or for an unclosed IPv6 address."""
    try:
        return urlsplit(url.get_secret_value()).port != 0
    except ValueError:
        return False


class BrokerSettings(LogSettings):
    """Address of RabbitMQ."""

    broker_url: SecretStr = Field(description="amqp://user:password@host:port/vhost")

    @field_validator("broker_url")
    @classmethod
    def _is_amqp(cls, url: SecretStr) -> SecretStr:
        nodes = url.get_secret_value().split(",")
        if not all(node.startswith(("amqp://", "amqps://")) for node in nodes):
            raise ValueError("must look like amqp://user:password@host:port/, with commas between several nodes")
        return url


class OidcSettings(LogSettings):
    """Identity provider (OpenID Connect) by which people sign in."""

    oidc_issuer: str | None = Field(None, description="its address, exactly as its tokens name it (`iss`)")
    oidc_client_id: str | None = Field(None, description="our name at the provider, for which ID tokens are made")

    @field_validator("oidc_issuer")
    @classmethod
    def _is_safe(cls, url: str | None) -> str | None:
        if url is None or url.startswith("https://"):
            return url
        if not url.startswith("http://") or not is_loopback(urlsplit(url).hostname or ""):
            raise ValueError("must begin with https://, because whoever changes its answers gets in")
        return url

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.oidc_issuer is None) is not (self.oidc_client_id is None):
            raise ValueError("MAILING_OIDC_ISSUER and MAILING_OIDC_CLIENT_ID are set together, or neither")
        return self


class HostSettings(LogSettings):
    """Host names of API and console."""

    hosts: Annotated[frozenset[str], NoDecode, BeforeValidator(split_names)] = Field(
        LOOPBACK_NAMES, description="names under which API and console are reached, with commas; `*` for any name"
    )


class HttpSettings(HostSettings):
    """Proxies in front of a service that browsers and programs call."""

    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(split)] = Field(
        LOOPBACK, description="networks of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed"
    )

    def proxies(self) -> list[str]:
        """Return the trusted networks as uvicorn takes them."""
        return [str(network) for network in self.trusted_proxies]


class MetricsSettings(LogSettings):
    """Port for the metrics and health of a service that has no API."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(
        0, ge=0, le=65535, description="for /metrics, /healthz and /readyz; 0: none, as several run on one host"
    )

    def address(self) -> tuple[str, int]:
        """Return where the service serves its metrics."""
        return self.metrics_host, self.metrics_port


class ProviderSettings(LogSettings):
    """External provider and our access to it."""

    provider_url: AnyHttpUrl = Field(description="base address; messages are POSTed to /v1/send/{msgId}")
    provider_token: SecretStr = Field(min_length=1, description="bearer token that the provider has given")


class PacingSettings(LogSettings):
    """Speed of the POSTs to the provider."""

    provider_rate: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="messages per second, over all mailings and senders"
    )


class WebhookSettings(LogSettings):
    """Addresses that webhooks may be sent to."""

    webhook_allow: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode, BeforeValidator(split)] = Field(
        (), description="networks that webhooks may be sent to besides public addresses, with commas"
    )


Settings = TypeVar("Settings", bound=LogSettings)


class SettingsError(Exception):
    """Raised for settings that are missing or wrong; each argument is a line about one of them."""


def load(kind: type[Settings], secrets: Path = SECRETS) -> Settings:
    """Return the settings, or end with exit status 2 and a line for each setting that is missing or wrong."""
    try:
        return read(kind, secrets)
    except SettingsError as error:
        print(*error.args, sep="\n", file=sys.stderr)  # noqa: T201 - no log yet
        sys.exit(2)


def read(kind: type[Settings], secrets: Path = SECRETS) -> Settings:
    """Return the settings, or raise SettingsError.

    A setting that neither the environment nor `.env` has is read from a file of its name in `secrets`.
    """
    try:
        return kind(_secrets_dir=secrets if secrets.is_dir() else None)
    except ValidationError as error:
        raise SettingsError(*_describe(error)) from None  # its cause would quote the values


def _describe(error: ValidationError) -> list[str]:
    return [
        f"setting {variable('_'.join(map(str, problem['loc'])))}: {_reason(problem['type'], problem['msg'])}"
        for problem in error.errors(include_input=False, include_url=False)
    ]


def variable(field: str) -> str:
    """Return the environment variable of a field."""
    return f"MAILING_{field.upper()}"


def _reason(kind: str, message: str) -> str:
    """Return pydantic's message, in terms of what an operator writes."""
    if kind.startswith("time_delta"):
        return "must be a number of seconds, such as 5 or 0.25, or an ISO 8601 duration, such as PT5S"
    if kind == "too_short":
        return "Input should not be empty"
    return message.removeprefix("Value error, ")
