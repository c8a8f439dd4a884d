"""The way to RabbitMQ: a publisher with confirms, and sessions that begin anew after every loss.

aio-pika's "robust" connections restore consumers on their own, at a moment of their choosing. We need to
know that moment: a sender may take no job before it has asked which mailings are stopped. So each consumer
is a *session*, a function that is called with a fresh channel after every reconnect and ends with it.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, HeadersType
from aio_pika.connection import make_url
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError, PublishError
from pydantic import SecretStr

from shared.errors import NotPublished, PublishUnknown
from shared.topology import declare

log = structlog.get_logger()

CONNECT_TIMEOUT = 10.0  # seconds
PUBLISH_TIMEOUT = 10.0
CLOSE_TIMEOUT = 3.0
RECONNECT_PAUSE = 0.5
HEARTBEAT = 10

# What a connection that is lost, or cannot be had, raises. ChannelInvalidStateError is a RuntimeError.
CONNECTION_ERRORS = (AMQPError, ChannelInvalidStateError, OSError, asyncio.TimeoutError)


async def connect(url: SecretStr, name: str) -> AbstractConnection:
    """A plain connection that carries `name` in RabbitMQ's UI. Raises one of CONNECTION_ERRORS.

    Of the nodes of a cluster, given as URLs with commas between them, any may be taken: the first that answers,
    from a random one on.
    """
    nodes = url.get_secret_value().split(",")
    first = random.randrange(len(nodes))  # noqa: S311 - spreads the connections
    for node in nodes[first:] + nodes[:first]:
        try:
            return await _connect(node, name)
        except CONNECTION_ERRORS as error:
            failure = error
    raise failure


async def _connect(node: str, name: str) -> AbstractConnection:
    url = make_url(node, heartbeat=HEARTBEAT)
    connection = aio_pika.Connection(url, client_properties={"connection_name": name})
    try:
        await connection.connect(timeout=CONNECT_TIMEOUT)
    except StopAsyncIteration as error:  # aiormq's, when a server that starts or stops hangs up in the handshake
        await connection.close()
        raise ConnectionResetError("RabbitMQ hung up during the handshake") from error
    except BaseException:
        # Else aio_pika would when it is collected: in whatever thread that is, where it cannot.
        await connection.close()
        raise
    return connection


async def close(connection: AbstractConnection) -> None:
    """Closes without ever hanging on a broker that is gone."""
    with suppress(*CONNECTION_ERRORS, asyncio.CancelledError):
        await asyncio.wait_for(connection.close(), CLOSE_TIMEOUT)


async def run_sessions(
    url: SecretStr, name: str, session: Callable[[AbstractChannel], Awaitable[None]], stopping: asyncio.Event
) -> None:
    """Calls `session` with a fresh channel, topology declared, again after every loss; until `stopping` is set.

    The session should end by itself when its channel closes or `stopping` is set (see `until_closed`).
    """
    while not stopping.is_set():
        try:
            connection = await connect(url, name)
            try:
                channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
                await declare(channel)
                log.info("broker_connected", connection=name)
                await session(channel)
            finally:
                await close(connection)
        except (*CONNECTION_ERRORS, NotPublished, PublishUnknown) as error:
            log.warning("broker_unavailable", connection=name, waiting_for="RabbitMQ", error=repr(error))
        except Exception as error:
            log.error("session_failed", connection=name, exc_info=error)
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(stopping.wait(), RECONNECT_PAUSE)


async def until_closed(channel: AbstractChannel, stopping: asyncio.Event) -> None:
    """Returns when the channel or its connection is gone, one of its queues was removed, or `stopping` is set."""
    canceled = asyncio.Event()
    try:
        callbacks = (await channel.get_underlay_channel()).on_consumer_cancel_callbacks
    except CONNECTION_ERRORS:  # it is gone already
        return

    async def on_cancel(_: object) -> None:
        canceled.set()

    callbacks.add(on_cancel)
    ends = [
        asyncio.ensure_future(channel.closed()),
        asyncio.create_task(canceled.wait()),
        asyncio.create_task(stopping.wait()),
    ]
    try:
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    finally:
        callbacks.discard(on_cancel)
        for end in ends:
            end.cancel()


@contextmanager
def losses_told() -> Iterator[None]:
    """What aiormq raises when a connection goes at an odd moment, as the loss of a connection that it is.

    It cancels those who wait for a confirmation when it finds the connection stuck, and has a plain RuntimeError
    for a connection that closes right behind its handshake.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionResetError("the connection to RabbitMQ was given up") from error
    except RuntimeError as error:
        raise ConnectionResetError(f"the connection to RabbitMQ was lost: {error}") from error


class Publisher:
    """Publishes with confirms, on a connection of its own that it opens when it is first needed.

    A blocked or dead connection of a consumer so never holds back what must go out, and the other way round.
    """

    def __init__(self, url: SecretStr, name: str) -> None:
        self.name = name
        self._url = url
        self._opening = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._exchanges: dict[str, AbstractExchange] = {}
        self._connected_at: float | None = None

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        mandatory: bool = True,
        reply_to: str | None = None,
        correlation_id: str | None = None,
        headers: HeadersType | None = None,
    ) -> None:
        """Returns when the broker has confirmed the message, persistent, in every queue that it is for.

        Raises:
            NotPublished: it was certainly not taken (no connection, refused, no queue for it).
            PublishUnknown: the connection was lost, or the time ran out, before the broker had answered.
        """
        target = await self._exchange(exchange)
        message = aio_pika.Message(
            body,
            content_type="application/json",
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            reply_to=reply_to,
            correlation_id=correlation_id,
            headers=headers,
        )
        try:
            with losses_told():
                await target.publish(message, routing_key, mandatory=mandatory, timeout=PUBLISH_TIMEOUT)
        except (DeliveryError, PublishError) as error:
            if exchange and isinstance(error, PublishError):
                await self._declare_again()
            raise NotPublished(f"RabbitMQ refused a message to {exchange!r}: {error}") from error
        except CONNECTION_ERRORS as error:
            await self.close()
            raise PublishUnknown(f"RabbitMQ did not confirm a message to {exchange!r}") from error

    async def _declare_again(self) -> None:
        """When no queue takes a message: somebody has removed it."""
        with suppress(*CONNECTION_ERRORS), losses_told():
            assert self._channel is not None
            await declare(self._channel)

    async def count_consumers(self, queue: str) -> int:
        """How many consumers the queue has now. Raises NotPublished when the broker is away."""
        await self._exchange("")
        try:
            with losses_told():
                assert self._channel is not None
                declared = await self._channel.declare_queue(queue, passive=True, timeout=PUBLISH_TIMEOUT)
                return declared.declaration_result.consumer_count or 0
        except CONNECTION_ERRORS as error:
            await self.close()
            raise NotPublished(f"RabbitMQ cannot be reached: {error}") from error

    async def ping(self) -> None:
        """Raises NotPublished unless there is a connection, or one can be had."""
        await self._exchange("")

    def connected_for(self) -> timedelta:
        """For how long the connection has been up; zero when it is not."""
        if self._connected_at is None or self._channel is None or self._channel.is_closed:
            return timedelta(0)
        return timedelta(seconds=time.monotonic() - self._connected_at)

    async def close(self) -> None:
        """Closes the connection; the next `publish` opens another."""
        connection, self._connection, self._channel = self._connection, None, None
        self._connected_at = None
        self._exchanges = {}
        if connection is not None:
            await close(connection)

    async def _exchange(self, name: str) -> AbstractExchange:
        async with self._opening:
            try:
                with losses_told():
                    if self._channel is None or self._channel.is_closed:
                        await self.close()
                        await self._open()
                    return await self._known(name)
            except CONNECTION_ERRORS as error:
                await self.close()
                raise NotPublished(f"RabbitMQ cannot be reached: {error}") from error

    async def _known(self, name: str) -> AbstractExchange:
        assert self._channel is not None
        if name not in self._exchanges:
            # The empty name is the default exchange, which routes to the queue of the routing key's name.
            self._exchanges[name] = (
                await self._channel.get_exchange(name, ensure=False) if name else self._channel.default_exchange
            )
        return self._exchanges[name]

    async def _open(self) -> None:
        self._connection = await connect(self._url, self.name)
        self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
        await declare(self._channel)
        self._connected_at = time.monotonic()
        log.info("broker_connected", connection=self.name)
