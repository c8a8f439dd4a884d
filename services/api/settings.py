"""Settings of the API."""

from datetime import timedelta

from pydantic import Field

from shared.settings import BrokerSettings, DatabaseSettings, Duration, PacingSettings


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
