"""Access to the API for tests: the application without a network, and a network that fails."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Literal, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from services.api.main import create_app
from services.api.settings import ApiSettings
from tests.tokens import bearer, create_api_token

Found = TypeVar("Found")

NOWHERE = "127.0.0.1:1"  # nobody listens there


@asynccontextmanager
async def api_on(
    database_url: str,
    broker_url: str,
    *,
    patience: timedelta = timedelta(seconds=6),
    access: Literal["tokens", "open"] = "tokens",
    changes: Mapping[str, object] | None = None,
) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of an API of its own, with an admin's token; without a database, access must be open."""
    app = create_app(
        ApiSettings.model_validate(
            {
                "database_url": SecretStr(database_url),
                "broker_url": SecretStr(broker_url),
                "api_patience": patience,
                "access": access,
                "hosts": "api",
                **(changes or {}),
            }
        )
    )
    headers = bearer(await create_api_token(database_url)) if access == "tokens" else {}
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client,
    ):
        yield client


async def eventually(look: Callable[[], Awaitable[Found | None]], patience: float = 20) -> Found:
    """Call `look` until it finds something, and return that. Raises TimeoutError after `patience` seconds."""
    async with asyncio.timeout(patience):
        while (found := await look()) is None:  # noqa: ASYNC110 - what is waited for is in another process
            await asyncio.sleep(0.02)
    return found


async def waits_for_a_lock(watch: psycopg.AsyncConnection, kind: str = "%") -> object:
    """Return a row if a request waits for another's lock. `watch` must not be in a transaction."""
    found = await watch.execute(
        "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'api@%%' AND datname = current_database()"
        " AND wait_event_type = 'Lock' AND wait_event LIKE %s",
        (kind,),
    )
    return await found.fetchone()


class Address(NamedTuple):
    """TCP address, or a Unix socket without a port."""

    host: str
    port: int | None


def address_of_database(url: str) -> Address:
    """Return the address of the server in a URL."""
    parts = conninfo_to_dict(url)
    host, port = str(parts.get("host") or "127.0.0.1"), int(parts.get("port") or 5432)
    return Address(f"{host}/.s.PGSQL.{port}", None) if host.startswith("/") else Address(host, port)


def address_of_broker(url: str) -> Address:
    """Return the address of the server in a URL."""
    parts = urlsplit(url)
    return Address(parts.hostname or "127.0.0.1", parts.port or 5672)


class Wire:
    """TCP forwarder that can be cut, or frozen: then it is connected and forwards nothing."""

    def __init__(self, target: Address) -> None:
        self._target = target
        self._passing = asyncio.Event()
        self._passing.set()
        self._server: asyncio.Server | None = None
        self._links: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def address(self) -> str:
        """Address to connect to, as `host:port`."""
        return f"127.0.0.1:{self.port}"

    async def connect(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._link, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        assert self._server is not None
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    def freeze(self) -> None:
        self._passing.clear()

    def thaw(self) -> None:
        self._passing.set()

    async def _link(self, near: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        host, port = self._target
        far, far_out = await (
            asyncio.open_unix_connection(host) if port is None else asyncio.open_connection(host, port)
        )
        try:
            with suppress(OSError, asyncio.CancelledError):
                await asyncio.wait(
                    [
                        asyncio.ensure_future(self._pass(near, far_out)),
                        asyncio.ensure_future(self._pass(far, near_out)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
        finally:
            for writer in (near_out, far_out):
                writer.close()
            self._links.discard(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await self._passing.wait()
            sink.write(data)
            await sink.drain()


@asynccontextmanager
async def wire_to(target: Address) -> AsyncIterator[Wire]:
    """Yield a connected wire."""
    wire = Wire(target)
    await wire.connect()
    try:
        yield wire
    finally:
        wire.thaw()
        await wire.cut()
