"""POST of an event to a webhook: to a checked address, within a time, without following redirects."""

import asyncio
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from socket import SOCK_STREAM, gaierror

import httpcore

from shared import __version__
from shared.ledger.deliveries import ClaimedLane, DeliveryTry, OpenDelivery
from shared.webhook_addresses import Network, is_allowed
from shared.webhook_secrets import sign

MOST_READ = 16 * 1024  # bytes of an answer; nobody needs it, and the connection can be used again
_LONGEST_REASON = 300
SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]


class AddressRefused(httpcore.ConnectError):
    """Raised when a name leads to an address that webhooks may not be sent to."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects to the very address that was checked, so that a name cannot change its meaning in between."""

    def __init__(self, allowed: Sequence[Network]) -> None:
        self._allowed = allowed
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the host that answers. Every one of them must be allowed."""
        addresses = await _resolve(host, port)
        if refused := [address for address in addresses if not is_allowed(address, self._allowed)]:
            raise AddressRefused(f"{host} leads to {refused[0]}, which is not public")
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in addresses:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Answer:
    """Outcome of one POST, and what the receiver wants: no more events, or a pause in seconds."""

    made: DeliveryTry
    is_gone: bool = False
    wanted_pause: float | None = None

    @property
    def is_delivered(self) -> bool:
        """True if the receiver has accepted the event."""
        return self.made.error is None


class Poster:
    """POSTs events. A receiver gets `timeout` seconds in all."""

    def __init__(self, allowed: Sequence[Network], timeout: float, connections: int) -> None:
        self._timeout = timeout
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl.create_default_context(),
            max_connections=connections,
            max_keepalive_connections=connections // 2,
            keepalive_expiry=15,
            network_backend=CheckedBackend(allowed),
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._pool.aclose()

    async def post(self, lane: ClaimedLane, delivery: OpenDelivery) -> Answer:
        """POST the event, and return what became of it. It never raises for a receiver's fault."""
        body = delivery.body.encode()
        headers: dict[bytes | str, bytes | str] = {
            "content-type": "application/json",
            "user-agent": f"mailing-service/{__version__}",
        }
        headers.update(sign(str(delivery.event_id), int(time.time()), body, lane.secrets).items())
        began_at = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout):
                status, retry_after = await self._exchange(lane.url, headers, body)
        except (TimeoutError, httpcore.TimeoutException):
            return Answer(DeliveryTry(None, "no answer in time", _since(began_at)))
        except (
            httpcore.NetworkError,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            ssl.SSLError,
            OSError,
            ValueError,  # of a host name that cannot be encoded
        ) as error:
            reason = f"{type(error).__name__}: {error}"[:_LONGEST_REASON]
            return Answer(DeliveryTry(None, reason, _since(began_at)))
        return Answer(
            DeliveryTry(status, _error_of(status), _since(began_at)), status == HTTPStatus.GONE, retry_after
        )

    async def _exchange(
        self, url: str, headers: dict[bytes | str, bytes | str], body: bytes
    ) -> tuple[int, float | None]:
        async with self._pool.stream("POST", url, headers=headers, content=body) as response:
            read = 0
            async for part in response.aiter_stream():
                read += len(part)
                if read > MOST_READ:
                    break
            return response.status, _retry_after(response.headers)


async def _resolve(host: str, port: int) -> list[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=SOCK_STREAM)
    except gaierror as error:
        raise httpcore.ConnectError(f"{host} cannot be resolved: {error.strerror}") from error
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _error_of(status: int) -> str | None:
    if 200 <= status < 300:
        return None
    return f"answered {status}, and redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _retry_after(headers: list[tuple[bytes, bytes]]) -> float | None:
    for name, value in headers:
        if name.lower() == b"retry-after" and value.isdigit() and len(value) < 8:
            return float(value)
    return None


def _since(began_at: float) -> int:
    return int((time.monotonic() - began_at) * 1000)
