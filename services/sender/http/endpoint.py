"""The provider's address: a base URL, taken apart and checked once. Pure."""

from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from services.sender.http.exchange import RequestHead

DEFAULT_PORTS = {"http": 80, "https": 443}
FORBIDDEN = frozenset("\r\n\0")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Scheme, host and port of the provider, and the path that all targets begin with."""

    scheme: str
    host: str
    port: int
    path: str  # without a slash at its end

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take a URL apart. Raise ValueError if it is not a plain http or https URL."""
        parts = urlsplit(url)
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError("must look like https://host/path")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not contain a user name or a password")
        if parts.query or parts.fragment:
            raise ValueError("must not contain a query or a fragment")
        host = parts.hostname if parts.hostname.isascii() else parts.hostname.encode("idna").decode()
        port = DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        return cls(parts.scheme, host, port, parts.path.rstrip("/"))

    @property
    def is_secure(self) -> bool:
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def render_headers(self, head: RequestHead) -> bytes:
        """Return all header lines of a request but Content-Length."""
        fields = (("Host", self.authority), *head.headers)
        for name, value in fields:
            if not FORBIDDEN.isdisjoint(name + value):
                raise ValueError(f"the header {name!r} contains a line break")
        return "".join(f"{name}: {value}\r\n" for name, value in fields).encode("latin-1")
