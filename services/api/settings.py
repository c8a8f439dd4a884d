"""The API's settings."""

from datetime import timedelta

from pydantic import Field

from shared.settings import BrokerSettings, DatabaseSettings, Duration, PacingSettings


class ApiSettings(DatabaseSettings, BrokerSettings, PacingSettings):
    """Where to listen, and how much a request may take."""

    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=0, le=65535)
    api_body_limit: int = Field(64 * 1024, ge=1024, description="bytes of a request's body")
    api_connections: int = Field(
        5, ge=2, description="to PostgreSQL: so many for single statements, and as many again for transactions"
    )
    api_upload_limit: int = Field(1024**3, ge=1024, description="bytes of a file of clients")
    api_upload_timeout: Duration = Field(
        timedelta(minutes=10), gt=timedelta(0), description="how long such a file may take to arrive"
    )
    api_transfers: int = Field(2, ge=1, description="imports and exports at a time")
    api_patience: Duration = Field(
        timedelta(seconds=6), description="how long a request waits for PostgreSQL before it is answered 503"
    )
    api_read_timeout: Duration = Field(
        timedelta(seconds=10), description="how long a request's head may take to arrive, and its body as well"
    )
    api_grace: Duration = Field(
        timedelta(seconds=8), description="how long requests under way may take to end after SIGTERM"
    )
