"""Settings that services have in common, from the environment (prefix `MAILING_`), a file `.env`, or a file each.

Each service has one frozen class of its own, made of these; it is built once in `__main__` and passed down.
Durations are given in seconds or as ISO 8601 (`PT5S`).
"""

import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AnyHttpUrl, BeforeValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.telemetry.log import Level, MessageSample


def _seconds(value: object) -> object:
    """`5` and `0.25` in the environment are seconds; pydantic knows plain numbers only as numbers."""
    if not isinstance(value, str):
        return value
    try:
        return timedelta(seconds=float(value))
    except ValueError:
        return value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]

SECRETS = Path("/run/secrets")  # where Docker and Kubernetes put them: `mailing_provider_token`, say


class LogSettings(BaseSettings):
    """How to log, and as whom."""

    model_config = SettingsConfigDict(env_prefix="MAILING_", env_file=".env", extra="ignore", frozen=True)

    log_format: Literal["auto", "console", "json"] = "auto"
    log_level: Level = "info"
    log_sample: float = Field(
        0, ge=0, le=1, description="share of the messages that are told of one by one at level info"
    )
    otel_endpoint: AnyHttpUrl | None = Field(
        None, description="where traces go, by OTLP over HTTP: http://host:4318"
    )
    otel_sample: float = Field(1, ge=0, le=1, description="share of the jobs that are traced")
    host_name: str = Field(default_factory=socket.gethostname, max_length=100)

    def message_sample(self) -> MessageSample:
        """Which messages are told of one by one."""
        return MessageSample(self.log_level, self.log_sample)


class DatabaseSettings(LogSettings):
    """Where PostgreSQL is."""

    database_url: SecretStr = Field(description="postgresql://user:password@host:port/database")

    @field_validator("database_url")
    @classmethod
    def _with_driver(cls, url: SecretStr) -> SecretStr:
        scheme, separator, rest = url.get_secret_value().partition("://")
        if not separator or scheme not in {"postgres", "postgresql", "postgresql+psycopg"}:
            raise ValueError("must look like postgresql://user:password@host:port/database")
        return SecretStr(f"postgresql+psycopg://{rest}")


class BrokerSettings(LogSettings):
    """Where RabbitMQ is."""

    broker_url: SecretStr = Field(description="amqp://user:password@host:port/vhost")

    @field_validator("broker_url")
    @classmethod
    def _is_amqp(cls, url: SecretStr) -> SecretStr:
        nodes = url.get_secret_value().split(",")
        if not all(node.startswith(("amqp://", "amqps://")) for node in nodes):
            raise ValueError("must look like amqp://user:password@host:port/, with commas between several nodes")
        return url


class MetricsSettings(LogSettings):
    """Where a service without an API of its own is looked at."""

    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(
        0, ge=0, le=65535, description="for /metrics, /healthz and /readyz; 0: none, as several run on one host"
    )


class PacingSettings(LogSettings):
    """How fast the provider may be asked."""

    provider_rate: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="messages per second, over all mailings and senders"
    )


Settings = TypeVar("Settings", bound=LogSettings)


def load(kind: type[Settings], secrets: Path = SECRETS) -> Settings:
    """The settings, or an end with exit status 2 and a line for each that is missing or wrong.

    What neither the environment nor `.env` has is looked for in `secrets`, in a file named after the variable.
    """
    try:
        return kind(_secrets_dir=secrets if secrets.is_dir() else None)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            name = "_".join(str(part) for part in problem["loc"]).upper()
            print(f"setting MAILING_{name}: {problem['msg']}", file=sys.stderr)  # noqa: T201 - no log yet
        sys.exit(2)
