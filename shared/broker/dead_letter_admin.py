"""Administration of dead letters: list them, put them back, drop them.

They are fetched and held unacknowledged. When the connection ends, each one that was not acknowledged returns
to its dead-letter queue. So a process that is killed in the middle loses nothing, and at most puts one back
twice.
"""

from collections.abc import AsyncIterator, Callable, Collection
from collections.abc import Set as AbstractSet
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import SecretStr

from shared.broker.connection import close, connect
from shared.broker.dead_letters import DeadLetter, headers_to_keep
from shared.broker.publisher import Publisher
from shared.topology import QUEUES, TIMEOUT, dead_queue, declare

Held = list[tuple[AbstractIncomingMessage, DeadLetter]]

LIMIT = 1_000  # held at a time, with their bodies
QUEUES_WITH_DEAD_LETTERS = tuple(queue.name for queue in QUEUES if queue.dead_letters)


class Action(StrEnum):
    LIST = "list"
    PUT_BACK = "put-back"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Choice:
    """Choice of dead letters: the first `limit` of each queue, or only the one of them with the `id`."""

    queues: Collection[str] = QUEUES_WITH_DEAD_LETTERS
    limit: int = LIMIT
    id: str | None = None

    def includes(self, letter: DeadLetter) -> bool:
        """Return True if the dead letter is chosen."""
        return self.id in {None, letter.id}


async def handle_dead_letters(
    url: SecretStr,
    action: Action,
    choice: Choice,
    done: Callable[[DeadLetter], None],
    *,
    shown: AbstractSet[DeadLetter] | None = None,
) -> None:
    """Apply the action to each chosen dead letter, oldest first, and call `done` with it.

    If `shown` is given, all others are left alone, because a person has agreed to these only.

    Raises:
        NotPublished, PublishUnknown, one of CONNECTION_ERRORS: dead letters that were not `done` are
        unchanged.
    """
    async with _opened(url) as (channel, publisher):
        for queue in choice.queues:
            held = await _fetch(channel, queue, choice.limit)
            chosen = [
                (message, letter)
                for message, letter in held
                if choice.includes(letter) and (shown is None or letter in shown)
            ]
            for message, letter in chosen:
                if action is Action.PUT_BACK:
                    await _put_back(message, queue, publisher)
                if action is not Action.LIST:
                    await message.ack()
                done(letter)
            await _release(held)


@asynccontextmanager
async def _opened(url: SecretStr) -> AsyncIterator[tuple[AbstractChannel, Publisher]]:
    connection = await connect(url, "operator")
    publisher = Publisher(url, "operator publisher")
    try:
        channel = await connection.channel()
        await declare(channel)
        yield channel, publisher
    finally:
        await publisher.close()
        await close(connection)


async def _fetch(channel: AbstractChannel, queue: str, most: int) -> Held:
    """Hold the first of the queue's dead letters, oldest first.

    It does not wait for later ones. So one that is put back and refused again does not come twice.
    """
    dead = await channel.get_queue(dead_queue(queue), ensure=False)
    held: Held = []
    while len(held) < most and (message := await dead.get(fail=False, timeout=TIMEOUT)) is not None:
        held.append((message, DeadLetter.of(message, queue)))
    return sorted(held, key=lambda pair: pair[1].at)


async def _put_back(message: AbstractIncomingMessage, queue: str, publisher: Publisher) -> None:
    """Publish it into the queue that it came from, and into no other queue of its exchange."""
    await publisher.publish(
        "",
        queue,
        message.body,
        reply_to=message.reply_to,
        correlation_id=message.correlation_id,
        headers=headers_to_keep(message.headers),
    )


async def _release(held: Held) -> None:
    """Return the others at once. The end of the connection would do so a moment later."""
    kept = [message for message, _ in held if not message.processed]
    if kept:
        last = max(kept, key=lambda message: message.delivery_tag or 0)
        await last.nack(multiple=True, requeue=True)
