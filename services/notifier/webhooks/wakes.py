"""Consumer of wake-ups: the outbox sends one when there are deliveries to make."""

import asyncio

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage

from shared.broker.sessions import until_closed
from shared.topology import NOTIFIER_WAKES, TIMEOUT

MAX_AHEAD = 100


async def consume_wakes(channel: AbstractChannel, wake: asyncio.Event, stopping: asyncio.Event) -> None:
    """Set `wake` for each message until the channel closes. A lost one delays deliveries by a poll."""

    async def on_wake(message: AbstractIncomingMessage) -> None:
        wake.set()
        await message.ack()

    await channel.set_qos(prefetch_count=MAX_AHEAD, timeout=TIMEOUT)
    queue = await channel.get_queue(NOTIFIER_WAKES, ensure=False)
    await queue.consume(on_wake, timeout=TIMEOUT)
    await until_closed(channel, stopping)
