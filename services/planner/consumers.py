"""Consumers of the planner: events that wake its loops, questions of senders, and reports."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.observer import PlannerObserver
from services.planner.queries import find_stops
from shared.broker.dead_letters import refuse
from shared.broker.publisher import Publisher
from shared.broker.sessions import until_closed
from shared.clock import CLOCK
from shared.contracts import EVENT, RECLAIM, RECLAIM_HEADERS, REPORT, Event, Reclaim, Report, Stops, utc_now
from shared.database.failures import is_refusal, is_unavailable
from shared.database.transactions import transaction
from shared.errors import NotPublished, PublishUnknown
from shared.ledger.epochs import find_epoch
from shared.topology import PLANNER_EVENTS, PLANNER_QUESTIONS, PLANNER_REPORTS, TIMEOUT

Session = Callable[[AbstractChannel], Awaitable[None]]
Received = Report | Reclaim  # the contracts in the queue of reports
Record = Callable[[list[Received]], Awaitable[None]]
Batch = list[tuple[AbstractIncomingMessage, Received]]
Unreadable = tuple[AbstractIncomingMessage, ValidationError]
Arrivals = asyncio.Queue[tuple[AbstractIncomingMessage, Received | ValidationError]]

MAX_EVENTS_AHEAD = 100  # unacknowledged at a time
MAX_QUESTIONS_AHEAD = 10
MAX_REPORTS_AHEAD = 200
OUTCOMES_PER_BATCH = 4_000  # recorded in one transaction, about
DATABASE_PAUSE = 0.5  # seconds before a batch is tried again


async def consume_events(
    channel: AbstractChannel,
    handle: Callable[[Event], None],
    publisher: Publisher,
    stopping: asyncio.Event,
) -> None:
    """Handle each event until the channel closes. `publisher` moves unreadable ones to the dead letters."""

    async def on_event(message: AbstractIncomingMessage) -> None:
        try:
            handle(EVENT.validate_json(message.body))
        except Exception as error:  # noqa: BLE001 - whatever it is, the event must go somewhere
            await refuse(message, PLANNER_EVENTS, error, publisher)
            return
        await message.ack()

    await channel.set_qos(prefetch_count=MAX_EVENTS_AHEAD, timeout=TIMEOUT)
    queue = await channel.get_queue(PLANNER_EVENTS, ensure=False)
    await queue.consume(on_event, timeout=TIMEOUT)
    await until_closed(channel, stopping)


class StopsResponder:
    """Tells senders that start which mailings are stopped.

    `memory` is how long a stop can matter: older jobs are past their lease.
    """

    def __init__(
        self, engine: AsyncEngine, publisher: Publisher, memory: timedelta, observer: PlannerObserver
    ) -> None:
        self._engine = engine
        self._publisher = publisher
        self._memory = memory
        self._observer = observer

    async def consume(self, channel: AbstractChannel, stopping: asyncio.Event) -> None:
        """Answer each question until the channel closes."""
        await channel.set_qos(prefetch_count=MAX_QUESTIONS_AHEAD, timeout=TIMEOUT)
        queue = await channel.get_queue(PLANNER_QUESTIONS, ensure=False)
        await queue.consume(self._on_question, timeout=TIMEOUT)
        await until_closed(channel, stopping)

    async def _on_question(self, message: AbstractIncomingMessage) -> None:
        try:
            async with transaction(self._engine) as connection:
                revisions = await find_stops(connection, utc_now() - self._memory)
                epoch = (await find_epoch(connection)).number
            stops = Stops(revisions=revisions, epoch=epoch, at_ms=int(CLOCK.time() * 1000))
            if message.reply_to:
                body = stops.model_dump_json().encode()
                await self._publisher.publish("", message.reply_to, body, correlation_id=message.correlation_id)
        except (NotPublished, PublishUnknown) as error:
            self._observer.stops_not_delivered(error)
        except Exception as error:  # noqa: BLE001 - no dead letter, because the sender asks again in a moment
            self._observer.stops_not_read(error)
        await message.ack()


class ReportConsumer:
    """Records reports in batches, in order, and acknowledges them after the commit.

    `publisher` moves reports that cannot be read or recorded to the dead letters.
    """

    def __init__(self, record: Record, publisher: Publisher, observer: PlannerObserver) -> None:
        self._record = record
        self._publisher = publisher
        self._observer = observer

    async def consume(self, channel: AbstractChannel, stopping: asyncio.Event) -> None:
        """Record until the channel closes. Reports of an unfinished batch are delivered again."""
        arrivals: Arrivals = asyncio.Queue()

        async def on_report(message: AbstractIncomingMessage) -> None:
            try:
                received: Received | ValidationError = parse_received(message)
            except ValidationError as error:
                # It waits in line, because the acknowledgement of a batch covers everything before it.
                received = error
            arrivals.put_nowait((message, received))

        await channel.set_qos(prefetch_count=MAX_REPORTS_AHEAD, timeout=TIMEOUT)
        queue = await channel.get_queue(PLANNER_REPORTS, ensure=False)
        await queue.consume(on_report, timeout=TIMEOUT)
        recording = asyncio.create_task(self._record_all(arrivals))
        closed = asyncio.create_task(until_closed(channel, stopping))
        try:
            await asyncio.wait([recording, closed], return_when=asyncio.FIRST_COMPLETED)
            if recording.done():
                recording.result()
        finally:
            # A transaction under way is rolled back, and its reports are delivered again.
            for task in (recording, closed):
                task.cancel()
            await asyncio.gather(recording, closed, return_exceptions=True)

    async def _record_all(self, arrivals: Arrivals) -> None:
        while True:
            batch, unreadable = await _next_batch(arrivals)
            if batch:
                await self._record_batch(batch)
            if unreadable:
                await refuse(unreadable[0], PLANNER_REPORTS, unreadable[1], self._publisher)

    async def _record_batch(self, batch: Batch) -> None:
        """Record and acknowledge the batch; wait for a database that is away.

        If it cannot be recorded, its reports are recorded one at a time, and the faulty one goes to the dead
        letters.
        """
        while True:
            try:
                await self._record([received for _, received in batch])
            except Exception as error:  # noqa: BLE001 - whatever it is, the report must go somewhere
                if _is_database_fault(error):
                    self._observer.recording_delayed(len(batch), error)
                    await asyncio.sleep(DATABASE_PAUSE)
                    continue
                if len(batch) == 1:
                    await refuse(batch[0][0], PLANNER_REPORTS, error, self._publisher)
                    return
                for one in batch:
                    await self._record_batch([one])
                return
            await batch[-1][0].ack(multiple=len(batch) > 1)
            return


def parse_received(message: AbstractIncomingMessage) -> Received:
    """Parse a message of the queue of reports. Raises ValidationError."""
    is_reclaim = message.headers.items() >= RECLAIM_HEADERS.items()
    return RECLAIM.validate_json(message.body) if is_reclaim else REPORT.validate_json(message.body)


async def _next_batch(arrivals: Arrivals) -> tuple[Batch, Unreadable | None]:
    """Return all that has arrived, at least one. It ends before an unreadable report, returned beside it."""
    batch: Batch = []
    size = 0
    while True:
        message, received = await arrivals.get()
        if isinstance(received, ValidationError):
            return batch, (message, received)
        batch.append((message, received))
        size += received.count_outcomes() if isinstance(received, Report) else 0
        if size >= OUTCOMES_PER_BATCH or arrivals.empty():
            return batch, None


def _is_database_fault(error: Exception) -> bool:
    """Return True if the database is at fault, and not the report: away, full, read-only or not migrated."""
    return is_unavailable(error) or (isinstance(error, DBAPIError) and not is_refusal(error))
