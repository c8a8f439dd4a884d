"""Settings of the sender."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from shared.settings import BrokerSettings, Duration, MetricsSettings, ProviderSettings


class SenderSettings(BrokerSettings, ProviderSettings, MetricsSettings):
    """Settings of the sender. docs/reference.md describes them."""

    provider_adapter: str = Field(
        "probe", pattern=r"^[a-z][a-z0-9_]*$", description="API of the provider: probe, or http with a file"
    )
    provider_file: Path | None = Field(None, description="description of the API, for the adapter http")
    provider_engine: Literal["asyncio", "httpx"] = Field(
        "asyncio", description="HTTP client; httpx for HTTP/2 and proxies"
    )
    provider_ca_file: Path | None = Field(None, description="authorities to trust instead of the system's, PEM")
    provider_proxy: SecretStr | None = Field(None, description="proxy to the provider; needs the engine httpx")
    provider_idempotent: bool = True
    request_timeout: Duration = Field(timedelta(seconds=5), gt=timedelta(0), le=timedelta(seconds=30))
    connect_timeout: Duration = Field(timedelta(seconds=2), gt=timedelta(0), le=timedelta(seconds=30))
    sender_concurrency: int = Field(64, ge=1, le=1000, description="POSTs in flight")
    sender_prefetch: int = Field(20, ge=1, le=1000, description="jobs held at a time")
    quick_retries: int = Field(
        2, ge=0, le=10, description="repeated POSTs in place, before the planner's schedule"
    )
    breaker_threshold: int = Field(20, ge=1, description="failures in a row after which the provider is out")
    breaker_probe_every: Duration = Field(timedelta(seconds=1), gt=timedelta(0))
    deadline_guard: Duration = Field(
        timedelta(milliseconds=100), ge=timedelta(0), description="no POST begins this close to its deadline"
    )
    report_interval: Duration = Field(timedelta(milliseconds=50), gt=timedelta(0))

    @model_validator(mode="after")
    def _has_an_engine_for_its_proxy(self) -> Self:
        if self.provider_proxy is not None and self.provider_engine != "httpx":
            raise ValueError("MAILING_PROVIDER_PROXY needs MAILING_PROVIDER_ENGINE=httpx")
        return self
