"""Consumer sessions: a function that is called with a new channel after every reconnect.

aio-pika's "robust" connections restore consumers by themselves, at a moment that we do not learn. A sender
must know it: it may take no job before it knows which mailings are stopped. So a consumer here is a
*session*, which begins and ends with its channel.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog
from aio_pika.abc import AbstractChannel
from pydantic import SecretStr

from shared.broker.connection import CONNECTION_ERRORS, HEARTBEAT, close, connect
from shared.errors import NotPublished, PublishUnknown
from shared.topology import declare

log = structlog.get_logger()

RECONNECT_PAUSE = 0.5  # seconds


async def run_sessions(
    url: SecretStr,
    name: str,
    session: Callable[[AbstractChannel], Awaitable[None]],
    stopping: asyncio.Event,
    *,
    heartbeat: int = HEARTBEAT,
) -> None:
    """Call `session` with a new channel, and again after every loss, until `stopping` is set.

    The topology is declared before. The session must end when its channel closes or `stopping` is set: see
    `until_closed`. RabbitMQ gives the connection up after two to three heartbeats without a sign of this process.
    """
    while not stopping.is_set():
        try:
            connection = await connect(url, name, heartbeat=heartbeat)
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
    """Wait until the channel or its connection is closed, one of its queues is deleted, or `stopping` is set."""
    canceled = asyncio.Event()
    try:
        callbacks = (await channel.get_underlay_channel()).on_consumer_cancel_callbacks
    except CONNECTION_ERRORS:  # it is closed already
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
