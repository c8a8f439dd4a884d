"""The console's settings."""

from pydantic import Field

from shared.settings import LogSettings


class ConsoleSettings(LogSettings):
    """Where the console listens, and the API that it is a client of."""

    console_host: str = Field("127.0.0.1", description="address to listen on")
    console_port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: a free one")
    api_url: str = Field(
        "http://127.0.0.1:8000", pattern=r"^https?://[^/\s]+", description="the API that the console calls"
    )
