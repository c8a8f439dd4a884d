"""Connecting to the provider: lookup of the name, choice of the address, TCP and TLS, all within a time limit."""

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.sender.http.addresses import FRESH_FOR, AddressBook
from services.sender.http.endpoint import Endpoint

SHUTDOWN_TIMEOUT = 1.0  # seconds for the end of a TLS connection that is closed in order
OUT_OF_FILES = frozenset({errno.EMFILE, errno.ENFILE})

MadeProtocol = TypeVar("MadeProtocol", bound=asyncio.Protocol)


class NotConnected(Exception):
    """Raised when no connection came about: nothing was written."""


class Dialer:
    """Opens connections to one endpoint. `look_up` returns the addresses of its host; the system's by default."""

    def __init__(
        self,
        endpoint: Endpoint,
        timeout: float,
        tls: ssl.SSLContext | None,
        look_up: Callable[[], Awaitable[list[str]]] | None = None,
        fresh_for: float = FRESH_FOR,
    ) -> None:
        self._endpoint = endpoint
        self._timeout = timeout
        self._tls = tls if endpoint.is_secure else None
        self._book = AddressBook(fresh_for)
        self._look_up = look_up or self._ask_system
        self._lookup: asyncio.Future[list[str]] | None = None

    async def dial(self, make: Callable[[], MadeProtocol]) -> MadeProtocol:
        """Return the protocol of a connection that stands. Raise NotConnected."""
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._timeout
        try:
            async with asyncio.timeout_at(ends_at):
                addresses = await self._addresses()
        except (OSError, UnicodeError) as error:  # TimeoutError is an OSError
            raise NotConnected(f"{self._endpoint.host}: {_describe_lookup(error)}") from None
        reason = ""
        for index, address in enumerate(addresses):
            # A silent address must leave time for the others.
            share = (ends_at - loop.time()) / (len(addresses) - index)
            try:
                async with asyncio.timeout(share):
                    protocol = await self._connect(make, address)
            except (OSError, ValueError) as error:
                reason = describe_failure(error, self._timeout)
                if isinstance(error, OSError) and error.errno in OUT_OF_FILES:
                    break  # not the address's fault
                self._book.mark_failed(address, loop.time())
            else:
                self._book.mark_reached(address)
                return protocol
        raise NotConnected(reason)

    async def close(self) -> None:
        """Give up a lookup that is under way."""
        if self._lookup is not None:
            self._lookup.cancel()
            await asyncio.gather(self._lookup, return_exceptions=True)

    async def _connect(self, make: Callable[[], MadeProtocol], address: str) -> MadeProtocol:
        loop = asyncio.get_running_loop()
        port = self._endpoint.port
        if self._tls is None:
            _, protocol = await loop.create_connection(make, address, port)
        else:
            _, protocol = await loop.create_connection(
                make,
                address,
                port,
                ssl=self._tls,
                server_hostname=self._endpoint.host,
                ssl_shutdown_timeout=SHUTDOWN_TIMEOUT,
            )
        return protocol

    async def _addresses(self) -> list[str]:
        """Return the addresses to try, from a lookup that all connections share."""
        now = asyncio.get_running_loop().time()
        if not self._book.is_fresh(now):
            if self._lookup is None:
                self._lookup = asyncio.ensure_future(self._look_up())
                self._lookup.add_done_callback(self._end_lookup)
            try:
                self._book.fill(await asyncio.shield(self._lookup), now)
            except OSError:
                if self._book.is_empty:
                    raise
                # What the name stood for before is better than nothing.
        return self._book.order(now)

    async def _ask_system(self) -> list[str]:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(self._endpoint.host, self._endpoint.port, type=socket.SOCK_STREAM)
        return [str(sockaddr[0]) for *_, sockaddr in found]

    def _end_lookup(self, lookup: asyncio.Future[list[str]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # whoever waited for it has it, too


def describe_failure(error: OSError | ValueError, timeout: float) -> str:
    """Name the reason why a connection did not come about."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate refused: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed: {error.reason or error}"
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"not connected within {timeout:g} s"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _describe_lookup(error: OSError | UnicodeError) -> str:
    if isinstance(error, TimeoutError):
        return "host name not found in time"
    return f"host name not found: {error.strerror if isinstance(error, OSError) else error}"
