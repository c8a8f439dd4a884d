"""URLs of the servers with one part replaced."""

from urllib.parse import urlsplit


def with_address(url: str, address: str) -> str:
    """Return the URL with another `host:port`, and without a query."""
    parts = urlsplit(url)
    login, at, _ = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{login}{at}{address}", query="").geturl()


def with_password(url: str, password: str) -> str:
    """Return the URL with another password."""
    parts = urlsplit(url)
    _, _, address = parts.netloc.rpartition("@")
    return parts._replace(netloc=f"{parts.username}:{password}@{address}").geturl()


def with_database(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()
