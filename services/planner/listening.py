"""What the planner hears from RabbitMQ: events that wake its loops, questions of senders, and reports."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.broker.dead_letters import refuse
from shared.broker.publisher import Publisher
from shared.broker.sessions import until_closed
from shared.contracts import EVENT, RECLAIM, RECLAIM_HEADERS, REPORT, Event, Reclaim, Report, Stops, utc_now
from shared.database.failures import is_refusal, is_unavailable
from shared.database.transactions import transaction
from shared.errors import NotPublished, PublishUnknown
from shared.telemetry.redaction import describe_error
from shared.topology import PLANNER_EVENTS, PLANNER_QUESTIONS, PLANNER_REPORTS, TIMEOUT

log = structlog.get_logger()

Session = Callable[[AbstractChannel], Awaitable[None]]
Received = Report | Reclaim  # the contracts in the queue of reports
Record = Callable[[list[Received]], Awaitable[None]]
Batch = list[tuple[AbstractIncomingMessage, Received]]
Unreadable = tuple[AbstractIncomingMessage, ValidationError]
Arrived = asyncio.Queue[tuple[AbstractIncomingMessage, Received | ValidationError]]

REPORTS_AHEAD = 200  # unacknowledged at a time
OUTCOMES_AT_ONCE = 4_000  # in a transaction, about

_STOPS = text("SELECT id, revision FROM mailings WHERE stopped_at > :since")


async def hear_events(
    channel: AbstractChannel, heard: Callable[[Event], None], publisher: Publisher, stopping: asyncio.Event
) -> None:
    """A session: wakes the loops at each event. `publisher` is for what must be refused."""

    async def on_event(message: AbstractIncomingMessage) -> None:
        try:
            heard(EVENT.validate_json(message.body))
        except Exception as error:  # noqa: BLE001 - whatever it is, the event must go somewhere
            await refuse(message, PLANNER_EVENTS, error, publisher)
            return
        await message.ack()

    await channel.set_qos(prefetch_count=100, timeout=TIMEOUT)
    queue = await channel.get_queue(PLANNER_EVENTS, ensure=False)
    await queue.consume(on_event, timeout=TIMEOUT)
    await until_closed(channel, stopping)


async def answer_questions(
    channel: AbstractChannel,
    engine: AsyncEngine,
    publisher: Publisher,
    memory: timedelta,
    stopping: asyncio.Event,
) -> None:
    """A session: tells senders that begin which stops are in force.

    `memory` is how long ago a stop can still matter: older jobs are past their lease.
    """

    async def on_question(message: AbstractIncomingMessage) -> None:
        try:
            async with transaction(engine) as connection:
                rows = (await connection.execute(_STOPS, {"since": utc_now() - memory})).all()
            stops = Stops(revisions={row.id: row.revision for row in rows})
            if message.reply_to:
                await publisher.publish("", message.reply_to, stops.model_dump_json().encode())
        except (NotPublished, PublishUnknown) as error:
            log.info("answer_not_delivered", error=str(error))  # the sender is gone, or asks again
        except Exception as error:  # noqa: BLE001 - no dead letter: the sender asks again in a moment
            if is_unavailable(error):
                log.warning("database_unavailable", loop="questions", waiting_for="PostgreSQL")
            else:
                log.error("question_not_answered", reason=describe_error(error))
        await message.ack()

    await channel.set_qos(prefetch_count=10, timeout=TIMEOUT)
    queue = await channel.get_queue(PLANNER_QUESTIONS, ensure=False)
    await queue.consume(on_question, timeout=TIMEOUT)
    await until_closed(channel, stopping)


async def take_reports(
    channel: AbstractChannel, record: Record, publisher: Publisher, stopping: asyncio.Event
) -> None:
    """A session: records reports in batches, in order, and acknowledges them after the commit.

    `publisher` is for what must be refused.
    """
    arrived: Arrived = asyncio.Queue()

    async def on_report(message: AbstractIncomingMessage) -> None:
        try:
            received: Received | ValidationError = parse_received(message)
        except ValidationError as error:
            # Waits in line all the same: a batch's acknowledgement takes in whatever came before it.
            received = error
        arrived.put_nowait((message, received))

    await channel.set_qos(prefetch_count=REPORTS_AHEAD, timeout=TIMEOUT)
    queue = await channel.get_queue(PLANNER_REPORTS, ensure=False)
    await queue.consume(on_report, timeout=TIMEOUT)
    recording = asyncio.create_task(_record_all(arrived, record, publisher))
    closed = asyncio.create_task(until_closed(channel, stopping))
    try:
        await asyncio.wait([recording, closed], return_when=asyncio.FIRST_COMPLETED)
        if recording.done():
            recording.result()
    finally:
        # In mid-transaction this rolls back, and the reports come again.
        for task in (recording, closed):
            task.cancel()
        await asyncio.gather(recording, closed, return_exceptions=True)


def parse_received(message: AbstractIncomingMessage) -> Received:
    """Parse a message of the queue of reports. Raises ValidationError."""
    is_reclaim = message.headers.items() >= RECLAIM_HEADERS.items()
    return RECLAIM.validate_json(message.body) if is_reclaim else REPORT.validate_json(message.body)


async def _record_all(arrived: Arrived, record: Record, publisher: Publisher) -> None:
    while True:
        batch, unreadable = await _next_batch(arrived)
        if batch:
            await _record_batch(batch, record, publisher)
        if unreadable:
            await refuse(unreadable[0], PLANNER_REPORTS, unreadable[1], publisher)


async def _next_batch(arrived: Arrived) -> tuple[Batch, Unreadable | None]:
    """What is there, at least one; ends before a report that cannot be read, which is returned beside it."""
    batch: Batch = []
    size = 0
    while True:
        message, received = await arrived.get()
        if isinstance(received, ValidationError):
            return batch, (message, received)
        batch.append((message, received))
        size += received.count_outcomes() if isinstance(received, Report) else 0
        if size >= OUTCOMES_AT_ONCE or arrived.empty():
            return batch, None


async def _record_batch(batch: Batch, record: Record, publisher: Publisher) -> None:
    """Records and acknowledges the batch. Waits for a database that is away; a report that cannot be recorded
    is found by recording one at a time, and goes to the dead letters."""
    while True:
        try:
            await record([received for _, received in batch])
        except Exception as error:  # noqa: BLE001 - whatever it is, the report must go somewhere
            if _will_pass(error):
                waits = {"waiting_for": "PostgreSQL", "reports": len(batch), "reason": describe_error(error)}
                log.warning("recording_waits", **waits)
                await asyncio.sleep(0.5)
                continue
            if len(batch) == 1:
                await refuse(batch[0][0], PLANNER_REPORTS, error, publisher)
                return
            for one in batch:
                await _record_batch([one], record, publisher)
            return
        await batch[-1][0].ack(multiple=len(batch) > 1)
        return


def _will_pass(error: Exception) -> bool:
    """Whether the fault is the database's, and not the report's: away, full, read-only, not migrated yet, busy."""
    return is_unavailable(error) or (isinstance(error, DBAPIError) and not is_refusal(error))
