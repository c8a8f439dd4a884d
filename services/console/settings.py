"""The console's settings."""

from pydantic import AnyHttpUrl, Field

from shared.settings import LogSettings


class ConsoleSettings(LogSettings):
    """Where the console listens, and the API that it is a client of."""

    console_host: str = "127.0.0.1"
    console_port: int = Field(8080, ge=0, le=65535)
    api_url: AnyHttpUrl = Field(AnyHttpUrl("http://127.0.0.1:8000"), description="the API that the console calls")
