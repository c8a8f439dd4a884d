"""The transport: a fixed number of workers, each with a connection of its own when there is something to send."""

import asyncio
import math
import random
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress

from services.sender.http.alarm import Alarm
from services.sender.http.backoff import pause_after
from services.sender.http.connection import Connection
from services.sender.http.dialing import Dialer, NotConnected
from services.sender.http.endpoint import Endpoint
from services.sender.http.exchange import NoAnswer, Worker

IDLE_LIMIT = 30.0  # seconds; below what servers usually keep an idle connection for
CLOSE_TIMEOUT = 2.0
# Seconds. After a pause of this process, answers wait in the sockets. They are read before requests are given up.
GRACE_AFTER_PAUSE = 0.1


class Pool:
    """An `Engine` over HTTP/1.1. Needs a running event loop. Nothing is connected before `wake`.

    `has_work` tells whether `take` of a worker would return a request.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        workers: Iterable[Worker],
        has_work: Callable[[], bool],
        *,
        connect_timeout: float,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._has_work = has_work
        self._loop = asyncio.get_running_loop()
        self._dialer = Dialer(endpoint, connect_timeout, tls)
        self._unconnected = list(workers)
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []  # used again from the end, so that the others are idle for long
        self._connecting: set[asyncio.Task[None]] = set()
        self._failures: dict[Worker, int] = {}
        self._pauses: dict[Worker, asyncio.TimerHandle] = {}
        self._deadlines = Alarm(self._check_deadlines)
        self._idle_ends = Alarm(self._close_idle)
        self._one_lost = asyncio.Event()
        self._is_after_pause = self._is_closed = False

    def wake(self, count: int = 1) -> None:
        """Let up to `count` more workers look for requests."""
        while count > 0 and not self._is_closed:
            if self._idle:
                if self._idle.pop().wake():
                    count -= 1
            elif self._unconnected:
                self._connect(self._unconnected.pop())
                count -= 1
            else:
                return

    async def close(self) -> None:
        """Close all connections. What is under way ends as `NoAnswer(sent=True)`."""
        self._is_closed = True
        for pause in self._pauses.values():
            pause.cancel()
        connecting = tuple(self._connecting)
        for task in connecting:
            task.cancel()
        await asyncio.gather(*connecting, return_exceptions=True)
        await self._dialer.close()
        self._idle.clear()
        for connection in tuple(self._connections):
            connection.give_up("the sender is stopping")
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT):
                while self._connections:
                    self._one_lost.clear()
                    await self._one_lost.wait()
        self._deadlines.stop()
        self._idle_ends.stop()

    # Connecting

    def _connect(self, worker: Worker) -> None:
        task = self._loop.create_task(self._dial(worker))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _dial(self, worker: Worker) -> None:
        try:
            connection = await self._dialer.dial(lambda: Connection(self, worker))
        except NotConnected as error:
            self._fail(worker, f"no connection: {error}")
            return
        except asyncio.CancelledError:
            self._unconnected.append(worker)
            raise
        self._connections.add(connection)
        if not connection.is_usable:
            self._connections.discard(connection)
            self._fail(worker, "no connection: closed by the server at once")
            return
        self._failures.pop(worker, None)
        connection.work()

    def _fail(self, worker: Worker, reason: str) -> None:
        """Connecting failed: wait a little. If no connection stands at all, a request fails, too."""
        failures = self._failures[worker] = self._failures.get(worker, 0) + 1
        chance = random.random()  # noqa: S311 - it only spreads the attempts
        self._pauses[worker] = self._loop.call_later(pause_after(failures, chance), self._end_pause, worker)
        if not self._connections and not self._is_closed and worker.take() is not None:
            worker.finish(NoAnswer(False, reason))

    def _end_pause(self, worker: Worker) -> None:
        del self._pauses[worker]
        self._unconnected.append(worker)
        self._wake_if_needed()

    def _wake_if_needed(self) -> None:
        if not self._is_closed and self._has_work():
            self.wake()

    # Called by the connections

    def watch(self, deadline: float) -> None:
        if deadline < self._deadlines.at:
            self._deadlines.set(deadline)

    def rest(self, connection: Connection) -> None:
        self._idle.append(connection)
        self._idle_ends.set(_idle_end(connection))

    def lose(self, connection: Connection) -> None:
        if connection not in self._connections:
            return  # it never got as far as to work
        self._connections.discard(connection)
        self._one_lost.set()
        if connection in self._idle:
            self._idle.remove(connection)
        self._unconnected.append(connection.worker)
        self._wake_if_needed()

    # Called by the alarms

    def _check_deadlines(self, now: float, is_late: bool) -> float:
        if is_late:
            self._is_after_pause = True
            return now + GRACE_AFTER_PAUSE
        paused, self._is_after_pause = self._is_after_pause, False
        for connection in tuple(self._connections):
            connection.check_deadline(now, paused)
        return min((connection.deadline for connection in self._connections), default=math.inf)

    def _close_idle(self, now: float, _is_late: bool) -> float:
        ended = {connection for connection in self._idle if _idle_end(connection) <= now}
        self._idle = [connection for connection in self._idle if connection not in ended]
        for connection in ended:
            connection.close()
        return min((_idle_end(connection) for connection in self._idle), default=math.inf)


def _idle_end(connection: Connection) -> float:
    """Return the instant at which to close an idle connection: before the server does."""
    limit = IDLE_LIMIT if connection.keep_alive is None else min(IDLE_LIMIT, max(connection.keep_alive - 1, 0.2))
    return connection.rests_since + limit
