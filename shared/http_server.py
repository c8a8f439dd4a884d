"""HTTP server of our processes. It leaves signals to `shared.lifecycle`, and logs its start."""

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog
import uvicorn

from shared.settings import SettingsError

log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn's server. If `started` is given, it logs that event with the host and port of every socket."""

    def __init__(self, config: uvicorn.Config, started: str | None = None) -> None:
        super().__init__(config)
        self._started = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none, unlike uvicorn."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and log where the server listens."""
        await super().startup(sockets)
        if self._started is None:
            return
        for server in self.servers:
            for listening_socket in server.sockets:
                host, port, *_ = listening_socket.getsockname()
                log.info(self._started, host=host, port=port)


def refuse_taken_port(host: str, port: int) -> None:
    """Raise SettingsError if another process listens there. Port 0 is any free one."""
    if port == 0:
        return
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise SettingsError(
                    f"cannot listen on {host}, port {port}: {error.strerror}."
                    " Choose another port, or stop the other process"
                ) from None


async def serve_until(stopping: asyncio.Event, server: Server, on_stop: Callable[[], None] | None = None) -> None:
    """Serve until `stopping` is set; then call `on_stop`, take no more requests, and finish those under way."""

    async def stop() -> None:
        await stopping.wait()
        if on_stop is not None:
            on_stop()
        server.should_exit = True

    stopper = asyncio.create_task(stop())
    try:
        await server.serve()
    finally:
        stopper.cancel()
