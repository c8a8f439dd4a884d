"""The stand-in provider: its port, the behaviour in force, and the reaction to a request."""

import asyncio
import socket
import ssl
import sys
import time
from functools import partial

from deploy.sandbox.apis import PROBE, Api, WrongToken, find_api
from deploy.sandbox.behaviour import PLAIN, Behaviour, Mode, Reaction, answer, react
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.wire import Connection

NO_SUCH_PATH = Reaction(answer(404, b'{"code": 1, "message": "No such path"}'))


class SandboxProvider:
    """Provider that listens on `host:port` (port 0: any) between `open` and `close`, except in mode `down`."""

    def __init__(self, host: str, port: int, token: str, tls: ssl.SSLContext | None = None) -> None:
        self.host, self.port = host, port
        self.ledger = Ledger()
        self.behaviour = Behaviour()
        self.behaviour_ends_at: float | None = None
        self._token = token
        self._tls = tls
        self._plain = True
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._listening = False
        self._reserved: socket.socket | None = None
        self._end_timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    # The port

    async def open(self) -> None:
        """Accept connections, if it does not yet."""
        if self._server is None:
            self._listening = True
            listener = self._reserved or self._bind()
            self._reserved = None
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(
                partial(Connection, self), sock=listener, backlog=4096, ssl=self._tls
            )

    async def close(self) -> None:
        """Reset all connections and refuse new ones."""
        if self._server is not None:
            self._listening = False
            server, self._server = self._server, None
            server.close()
            for connection in tuple(self._connections):
                connection.reset()
            await server.wait_closed()

    def _bind(self) -> socket.socket:
        listener = bound(self.host, self.port)
        self.port = listener.getsockname()[1]
        return listener

    # The behaviour

    async def behave(self, behaviour: Behaviour) -> None:
        """Put a behaviour in force; it applies when this returns."""
        async with self._one_at_a_time:
            await self._behave(behaviour)

    async def _behave(self, behaviour: Behaviour) -> None:
        if self._end_timer is not None:
            self._end_timer.cancel()
        self.behaviour = behaviour
        self._plain = behaviour == Behaviour()
        self.behaviour_ends_at = self._end_timer = None
        for connection in tuple(self._connections):
            connection.release()
        if behaviour.for_seconds is not None:
            self.behaviour_ends_at = time.time() + behaviour.for_seconds
            loop = asyncio.get_running_loop()
            self._end_timer = loop.call_later(behaviour.for_seconds, self._end_by_time, behaviour)
        if behaviour.mode is Mode.DOWN:
            await self.close()
            # Bound, but not listening: connections are refused, and no other socket gets the port. A client's own
            # socket could otherwise get it, and connect to itself.
            self._reserved = self._reserved or self._bind()
        else:
            await self.open()

    def _end_by_time(self, ended: Behaviour) -> None:
        self._ending = asyncio.get_running_loop().create_task(self._return_to_ok(ended))

    async def _return_to_ok(self, ended: Behaviour) -> None:
        async with self._one_at_a_time:
            if self.behaviour is ended:  # no newer behaviour came in between
                await self._behave(Behaviour())

    # What a connection calls

    def opened(self, connection: Connection) -> None:
        if not self._listening:  # accepted just before the port closed
            connection.reset()
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def receive(self, method: bytes, path: bytes, authorization: bytes, body: bytes) -> Reaction:
        """Record one complete request, and return the reaction."""
        api = find_api(method, path)
        try:
            sms = (api or PROBE).read(path, authorization, body, self._token)
        except WrongToken:
            return self._refuse(api or PROBE, 401)
        if api is None:
            self.ledger.invalid += 1
            return NO_SUCH_PATH
        if sms is None:
            return self._refuse(api, 400)
        attempt = self.ledger.arrive(*sms, time.time())
        if self._plain and api is PROBE:
            reaction = PLAIN
        else:
            reaction = react(self.behaviour, sms.id, attempt, api.speech(sms.id))
        if reaction.taken:
            self.ledger.accept(sms.id)
        return reaction

    def _refuse(self, api: Api, status: int) -> Reaction:
        self.ledger.invalid += 1
        return Reaction(api.speech(0)(status, None))


def bound(host: str, port: int) -> socket.socket:
    """Return a TCP socket that is bound to the address and does not listen yet."""
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # where the option means something else
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind((host, port))
    except OSError as error:
        held.close()
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror}") from error
    return held
