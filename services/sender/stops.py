"""Stops in force: listen for them on the broker, and request from a planner those of the past."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from secrets import token_hex

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from pydantic import ValidationError

from services.sender.observer import SenderObserver
from shared.broker.publisher import Publisher
from shared.broker.sessions import until_closed
from shared.clock import CLOCK, ticks
from shared.contracts import STOPS, Confirmation, Stops
from shared.errors import NotPublished, PublishUnknown
from shared.telemetry.clock_report import ClockReport
from shared.topology import CONTROL, QUESTIONS, TIMEOUT

REQUEST_AGAIN_AFTER = 2.0  # seconds


class StopsListener:
    """Calls `stop_mailings` with every stop that it learns of."""

    def __init__(
        self,
        stop_mailings: Callable[[Mapping[int, int], int], None],
        note_beacon: Callable[[], None],
        publisher: Publisher,
        observer: SenderObserver,
        *,
        sender: str,
    ) -> None:
        self._stop_mailings = stop_mailings
        self._note_beacon = note_beacon
        self._clock_report = ClockReport("the planners")
        self._confirming: set[asyncio.Task[None]] = set()
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
        asked: dict[str | None, float] = {}

        async def on_stops(amqp_message: AbstractIncomingMessage) -> None:
            try:
                stops = STOPS.validate_json(amqp_message.body)
            except ValidationError as error:
                self._observer.stops_not_parsed(len(amqp_message.body), error)
                return
            self._stop_mailings(stops.revisions, stops.epoch)
            self._follow_clock(stops, asked.get(amqp_message.correlation_id))
            if amqp_message.reply_to:
                self._confirm_later(amqp_message.reply_to, amqp_message.correlation_id)
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
                question = token_hex(6)
                asked[question] = ticks()
                await self._publisher.publish(
                    QUESTIONS, "stops", b"{}", reply_to=queue.name, correlation_id=question
                )
                await asyncio.wait(
                    [over, answer], timeout=REQUEST_AGAIN_AFTER, return_when=asyncio.FIRST_COMPLETED
                )
                if not answer.done() and not over.done():
                    self._observer.stops_not_received()
            return answer.done()
        finally:
            over.cancel()
            answer.cancel()

    def _follow_clock(self, stops: Stops, asked: float | None) -> None:
        """Compare the clock with the planner's, which has just said its time."""
        if stops.at_ms is None:
            return
        if asked is None:
            CLOCK.notice(stops.at_ms / 1000)
        else:
            CLOCK.compare(stops.at_ms / 1000, asked, ticks())
        self._clock_report.look()
        self._note_beacon()

    def _confirm_later(self, reply_to: str, correlation_id: str | None) -> None:
        """Confirm the stops, which are in force already."""
        task = asyncio.create_task(self._confirm(reply_to, correlation_id))
        self._confirming.add(task)
        task.add_done_callback(self._confirming.discard)

    async def _confirm(self, reply_to: str, correlation_id: str | None) -> None:
        body = Confirmation(sender=self._sender).model_dump_json().encode()
        with suppress(NotPublished, PublishUnknown):  # the planner asks again
            await self._publisher.publish("", reply_to, body, correlation_id=correlation_id)
