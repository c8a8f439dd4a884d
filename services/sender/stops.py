"""Stops in force: listen for them on the broker, and request from a planner those of the past."""

import asyncio
from collections.abc import Callable, Mapping
from secrets import token_hex

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from pydantic import ValidationError

from services.sender.observer import SenderObserver
from shared.broker.publisher import Publisher
from shared.broker.sessions import until_closed
from shared.contracts import STOPS
from shared.topology import CONTROL, QUESTIONS, TIMEOUT

REQUEST_AGAIN_AFTER = 2.0  # seconds


class StopsListener:
    """Calls `stop_mailings` with every stop that it learns of."""

    def __init__(
        self,
        stop_mailings: Callable[[Mapping[int, int]], None],
        publisher: Publisher,
        observer: SenderObserver,
        *,
        sender: str,
    ) -> None:
        self._stop_mailings = stop_mailings
        self._publisher = publisher
        self._observer = observer
        self._sender = sender
        self._consumer: tuple[AbstractChannel, AbstractQueue, str] | None = None

    async def listen(self, channel: AbstractChannel, stopping: asyncio.Event) -> bool:
        """Listen for stops, then request those in force. Return False if the session ends before the answer.

        In this order, because a stop in between then arrives in the queue. It may be called again in a session: an
        answer to an older request cannot be taken for the new one, because it has another queue.
        """
        answered = asyncio.Event()

        async def on_stops(amqp_message: AbstractIncomingMessage) -> None:
            try:
                stops = STOPS.validate_json(amqp_message.body)
            except ValidationError as error:
                self._observer.stops_not_parsed(len(amqp_message.body), error)
                return
            self._stop_mailings(stops.revisions)
            if not amqp_message.exchange:  # published straight to this queue, so it is the answer
                answered.set()

        # A new name each time, because the broker may still hold the last connection and its queue.
        name = f"sender.control.{self._sender}.{token_hex(3)}"
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, timeout=TIMEOUT)
        await queue.bind(CONTROL, timeout=TIMEOUT)
        tag = await queue.consume(on_stops, no_ack=True, timeout=TIMEOUT)
        last, self._consumer = self._consumer, (channel, queue, tag)
        if last is not None and last[0] is channel:
            await last[1].cancel(last[2], timeout=TIMEOUT)
        over = asyncio.create_task(until_closed(channel, stopping))
        answer = asyncio.create_task(answered.wait())
        try:
            while not (over.done() or answer.done()):
                await self._publisher.publish(QUESTIONS, "stops", b"{}", reply_to=queue.name)
                await asyncio.wait(
                    [over, answer], timeout=REQUEST_AGAIN_AFTER, return_when=asyncio.FIRST_COMPLETED
                )
                if not answer.done() and not over.done():
                    self._observer.stops_not_received()
            return answer.done()
        finally:
            over.cancel()
            answer.cancel()
