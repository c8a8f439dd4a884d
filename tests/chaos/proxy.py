"""A TCP proxy whose line can be cut or silenced.

Cut: connections are reset, and new ones refused, until it is mended. Silent: connections stay, nothing arrives.
"""

import asyncio
from contextlib import suppress

from deploy.local.ports import HOST, free_ports


class Line:
    """The way from one process to one server. It keeps its port while it is cut."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        (self.port,) = free_ports(1)
        self.address = f"{HOST}:{self.port}"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._audible = asyncio.Event()
        self._audible.set()

    async def mend(self) -> None:
        """Lets connections through from now on."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connect, HOST, self.port)

    def silence(self) -> None:
        """Hold back everything from now on, in both directions."""
        self._audible.clear()

    def end_silence(self) -> None:
        """Let everything through that was held back."""
        self._audible.set()

    async def cut(self) -> None:
        """Resets every connection, and refuses new ones."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        for pump in list(self._pumps):
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, far_writer}
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            pump = asyncio.create_task(self._pump(source, sink))
            self._pumps.add(pump)
            pump.add_done_callback(self._pumps.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                while data := await source.read(65536):
                    await self._audible.wait()
                    sink.write(data)
                    await sink.drain()
        finally:
            sink.close()
            self._writers.discard(sink)
