"""HTTP server of our processes. It leaves signals to `shared.lifecycle`, and logs its start."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
import uvicorn

log = structlog.get_logger()


class Server(uvicorn.Server):
    """uvicorn's server. Logs the event `started`, if there is one, with the host and port of every socket."""

    def __init__(self, config: uvicorn.Config, started: str | None = None) -> None:
        super().__init__(config)
        self._started = started

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._started is None:
            return
        for listening in self.servers:
            for bound in listening.sockets:
                host, port, *_ = bound.getsockname()
                log.info(self._started, host=host, port=port)
