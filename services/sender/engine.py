"""Choice of the HTTP engine, and its way to the provider."""

import ssl
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import assert_never

from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import Engine, Worker
from services.sender.http.httpx_engine import HttpxEngine
from services.sender.http.pool import Pool
from services.sender.http.tls import client_context
from services.sender.settings import SenderSettings
from shared.settings import SettingsError

OTHER_FILES = 64  # that a sender has open besides its connections to the provider


@dataclass(frozen=True, slots=True)
class Route:
    """The way to the provider."""

    endpoint: Endpoint
    tls: ssl.SSLContext | None


def find_route(settings: SenderSettings) -> Route:
    """Return the way to the provider. Raise SettingsError."""
    try:
        endpoint = Endpoint.parse(str(settings.provider_url))
    except ValueError as error:
        raise SettingsError(f"setting MAILING_PROVIDER_URL: {error}") from None
    try:
        return Route(endpoint, client_context(settings.provider_ca_file) if endpoint.is_secure else None)
    except OSError as error:  # among them ssl.SSLError
        raise SettingsError(f"setting MAILING_PROVIDER_CA_FILE: {error.strerror or error}") from None


def open_engine(
    settings: SenderSettings, route: Route, workers: Iterable[Worker], has_work: Callable[[], bool]
) -> Engine:
    """Return an engine that serves the workers. Nothing is connected yet. Needs a running event loop."""
    endpoint, tls = route.endpoint, route.tls
    connect_timeout = settings.connect_timeout.total_seconds()
    match settings.provider_engine:
        case "asyncio":
            return Pool(endpoint, workers, has_work, connect_timeout=connect_timeout, tls=tls)
        case "httpx":
            proxy = settings.provider_proxy.get_secret_value() if settings.provider_proxy else None
            return HttpxEngine(endpoint, workers, connect_timeout=connect_timeout, tls=tls, proxy=proxy)
        case _:
            assert_never(settings.provider_engine)


def raise_file_limit(connections: int) -> bool:
    """Allow as many open files as the connections need. Return False if the system does not."""
    if sys.platform == "win32":  # there is no such limit
        return True
    import resource

    needed = connections + OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft >= needed:
        return True
    if hard != resource.RLIM_INFINITY and hard < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    return True
