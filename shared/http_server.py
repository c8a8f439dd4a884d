"""Serving HTTP as one of our processes: signals are `shared.lifecycle`'s, and the start is told in our log."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn's; tells `started`, an event's name, with the host and port of every socket."""

    def __init__(self, config: uvicorn.Config, started: str) -> None:
        super().__init__(config)
        self._started = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for listening in self.servers:
            for bound in listening.sockets:
                host, port, *_ = bound.getsockname()
                log.info(self._started, host=host, port=port)
