"""The stand-in provider itself: who listens on the port, what is in force, and what a request comes to."""

import asyncio
import socket
import sys
import time
from functools import partial

import orjson

from deploy.sandbox.behaviour import PLAIN, Behaviour, Mode, Reaction, answer, react
from deploy.sandbox.ledger import Ledger
from deploy.sandbox.wire import Connection

SEND = b"/v1/send/"
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
WRONG_TOKEN = Reaction(answer(401, b'{"code": 2, "message": "Bad token"}'))
NO_SUCH_PATH = Reaction(answer(404, b'{"code": 1, "message": "No such path"}'))
BAD_REQUEST = Reaction(answer(400, b'{"code": 1, "message": "Bad request"}'))


class SandboxProvider:
    """Listens on `host:port` (0: any free port) between `open` and `close`, except while it plays dead."""

    def __init__(self, host: str, port: int, token: str) -> None:
        self.host, self.port = host, port
        self.ledger = Ledger()
        self.behaviour = Behaviour()
        self.behaviour_ends_at: float | None = None
        self._authorization = b"Bearer " + token.encode()
        self._plain = True
        self._connections: set[Connection] = set()
        self._server: asyncio.Server | None = None
        self._listening = False
        self._reserved: socket.socket | None = None
        self._calm_down: asyncio.TimerHandle | None = None
        self._calming: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()

    # The port

    async def open(self) -> None:
        """Accept connections. Idempotent."""
        if self._server is None:
            self._listening = True
            listener = self._reserved or self._bind()
            self._reserved = None
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(partial(Connection, self), sock=listener, backlog=4096)

    async def close(self) -> None:
        """Reset what is connected and refuse what comes. Idempotent."""
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
        """Put a behaviour in force: when this returns, it is."""
        async with self._one_at_a_time:
            await self._behave(behaviour)

    async def _behave(self, behaviour: Behaviour) -> None:
        if self._calm_down is not None:
            self._calm_down.cancel()
        self.behaviour = behaviour
        self._plain = behaviour == Behaviour()
        self.behaviour_ends_at = self._calm_down = None
        for connection in tuple(self._connections):
            connection.release()
        if behaviour.for_seconds is not None:
            self.behaviour_ends_at = time.time() + behaviour.for_seconds
            loop = asyncio.get_running_loop()
            self._calm_down = loop.call_later(behaviour.for_seconds, self._time_over, behaviour)
        if behaviour.mode is Mode.DOWN:
            await self.close()
            # Bound, but nobody listens: connecting is refused, and nobody else can be given the port, not even
            # a client's own socket, which would then be connected to itself.
            self._reserved = self._reserved or self._bind()
        else:
            await self.open()

    def _time_over(self, ended: Behaviour) -> None:
        self._calming = asyncio.get_running_loop().create_task(self._back_to_normal(ended))

    async def _back_to_normal(self, ended: Behaviour) -> None:
        async with self._one_at_a_time:
            if self.behaviour is ended:  # no newer one came in between
                await self._behave(Behaviour())

    # What a connection calls

    def opened(self, connection: Connection) -> None:
        if not self._listening:  # it was accepted just before the port closed
            connection.reset()
        self._connections.add(connection)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)

    def receive(self, method: bytes, path: bytes, authorization: bytes, body: bytes) -> Reaction:
        """Record one complete request and say what becomes of it."""
        if authorization != self._authorization:
            return self._refuse(WRONG_TOKEN)
        if method != b"POST" or not path.startswith(SEND):
            return self._refuse(NO_SUCH_PATH)
        sms = _parsed(path[len(SEND) :], body)
        if sms is None:
            return self._refuse(BAD_REQUEST)
        message_id, phone = sms
        attempt = self.ledger.arrive(message_id, phone, time.time())
        reaction = PLAIN if self._plain else react(self.behaviour, message_id, attempt)
        if reaction.taken:
            self.ledger.accept(message_id)
        return reaction

    def _refuse(self, reaction: Reaction) -> Reaction:
        self.ledger.invalid += 1
        return reaction


def bound(host: str, port: int) -> socket.socket:
    """A TCP socket that holds the address and does not listen yet."""
    held = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    if sys.platform != "win32":  # where it means something else, and nothing needs it
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((host, port))
    return held


def _parsed(message_id: bytes, body: bytes) -> tuple[int, int] | None:
    """Id and phone of a body `{"id": <the id of the path>, "phone": <int64>, "text": <string>}`, if it is one."""
    try:
        sms = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(sms) is not dict or type(sms.get("text")) is not str:
        return None
    id_, phone = sms.get("id"), sms.get("phone")
    if type(id_) is not int or type(phone) is not int:  # a bool is an int to isinstance
        return None
    if not (0 <= id_ <= INT64_MAX and INT64_MIN <= phone <= INT64_MAX) or message_id != b"%d" % id_:
        return None
    return id_, phone
