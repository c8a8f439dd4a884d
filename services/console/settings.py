"""The console's settings."""

from pydantic import AnyHttpUrl, Field, SecretStr

from shared.settings import HostSettings, HttpSettings, OidcSettings


class ConsoleSettings(OidcSettings, HttpSettings, HostSettings):
    """Where the console listens, the API that it is a client of, and how people sign in."""

    console_host: str = Field("127.0.0.1", description="address to listen on")
    console_port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0: a free one")
    console_url: AnyHttpUrl | None = Field(
        None, description="its address as browsers see it, for the way back from the identity provider"
    )
    api_url: str = Field(
        "http://127.0.0.1:8000", pattern=r"^https?://[^/\s]+", description="the API that the console calls"
    )
    oidc_client_secret: SecretStr | None = Field(
        None, description="our secret at the identity provider; none: we are a public client"
    )
    oidc_scopes: str = Field(
        "openid profile email", description="scopes asked for, with blanks; `openid` is needed"
    )
    oidc_name: str = Field("single sign-on", description="name of the provider on the button: Sign in with …")

    def base_url(self) -> str | None:
        """Return the console's own address without a slash at its end; None if it follows from each request."""
        return None if self.console_url is None else str(self.console_url).rstrip("/")

    def address(self) -> tuple[str, int]:
        """Return where the console listens."""
        return self.console_host, self.console_port
