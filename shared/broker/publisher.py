"""Publishing to RabbitMQ with confirms."""

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractExchange, HeadersType
from aio_pika.exceptions import DeliveryError, PublishError
from pamqp.commands import Queue
from pydantic import SecretStr

from shared.broker.connection import CONNECTION_ERRORS, close, connect, translate_aiormq_errors
from shared.errors import NotPublished, PublishUnknown
from shared.topology import declare

log = structlog.get_logger()

PUBLISH_TIMEOUT = 10.0  # seconds


class Publisher:
    """Publishes with confirms. It opens a connection of its own when it is first needed.

    So a blocked connection of a consumer never holds back a publication, and the other way round.
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
        """Publish a persistent message, and wait until the broker has confirmed it in all of its queues.

        Raises:
            NotPublished: the broker certainly does not have it (no connection, refused, no queue for it).
            PublishUnknown: the connection was lost, or the time ran out, before the broker answered.
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
            with translate_aiormq_errors():
                await target.publish(message, routing_key, mandatory=mandatory, timeout=PUBLISH_TIMEOUT)
        except (DeliveryError, PublishError) as error:
            if exchange and isinstance(error, PublishError):
                await self._declare_again()
            raise NotPublished(f"RabbitMQ refused a message to {exchange!r}: {error}") from error
        except CONNECTION_ERRORS as error:
            await self.close()
            raise PublishUnknown(f"RabbitMQ did not confirm a message to {exchange!r}") from error

    async def _declare_again(self) -> None:
        """Declare the topology again, because no queue took a message: somebody has deleted the queue."""
        with suppress(*CONNECTION_ERRORS), translate_aiormq_errors():
            assert self._channel is not None
            await declare(self._channel)

    async def count_consumers(self, queue: str) -> int:
        """Return the number of consumers that the queue has now. Raises NotPublished if the broker is away."""
        return (await self._look_at(queue)).consumer_count or 0

    async def count_messages(self, queue: str) -> int:
        """Return the number of messages that wait in the queue. Raises NotPublished if the broker is away."""
        return (await self._look_at(queue)).message_count or 0

    async def _look_at(self, queue: str) -> Queue.DeclareOk:
        await self._exchange("")
        try:
            with translate_aiormq_errors():
                assert self._channel is not None
                declared = await self._channel.declare_queue(queue, passive=True, timeout=PUBLISH_TIMEOUT)
                return declared.declaration_result
        except CONNECTION_ERRORS as error:
            await self.close()
            raise NotPublished(f"RabbitMQ cannot be reached: {error}") from error

    async def ping(self) -> None:
        """Connect, if there is no connection. Raises NotPublished if that fails."""
        await self._exchange("")

    def connected_for(self) -> timedelta:
        """Return the time since the connection was opened; zero if there is none."""
        if self._connected_at is None or self._channel is None or self._channel.is_closed:
            return timedelta(0)
        return timedelta(seconds=time.monotonic() - self._connected_at)

    async def close(self) -> None:
        """Close the connection. The next `publish` opens another one."""
        connection, self._connection, self._channel = self._connection, None, None
        self._connected_at = None
        self._exchanges = {}
        if connection is not None:
            await close(connection)

    async def _exchange(self, name: str) -> AbstractExchange:
        async with self._opening:
            try:
                with translate_aiormq_errors():
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
            # The empty name is the default exchange. It routes to the queue that is named by the routing key.
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
