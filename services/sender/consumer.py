"""Consuming: what a sender does on each connection to the broker, from the first question to the last ack."""

import asyncio
from collections.abc import Sequence
from secrets import token_hex

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from pydantic import ValidationError

from services.sender.delivery import Delivery
from services.sender.gating import Bounds
from services.sender.reporting import Reporter, Run
from shared.broker.dead_letters import refuse
from shared.broker.publisher import Publisher
from shared.broker.sessions import until_closed
from shared.contracts import JOB, STOPS, ReturnReason
from shared.telemetry import tracing
from shared.telemetry.redaction import describe_error
from shared.topology import CONTROL, QUESTIONS, SENDER_JOBS, SENDER_SINGLES, TIMEOUT

log = structlog.get_logger()

ASK_AGAIN_AFTER = 2.0  # seconds
DRAIN_TIMEOUT = 7.0


class Consumer:
    """A session with the broker: asks for the stops in force, then takes jobs until the connection is lost or
    the sender is stopped; in the end, hands back or finishes what it holds."""

    def __init__(
        self,
        delivery: Delivery,
        reporter: Reporter,
        publisher: Publisher,
        *,
        name: str,
        prefetch: int,
        stopping: asyncio.Event,
    ) -> None:
        self._name = name
        self._delivery = delivery
        self._reporter = reporter
        self._publisher = publisher
        self._prefetch = prefetch
        self._stopping = stopping
        self.is_consuming = False

    async def session(self, channel: AbstractChannel) -> None:
        """For `shared.broker.sessions.run_sessions`."""
        runs: set[Run] = set()
        try:
            await channel.set_qos(prefetch_count=self._prefetch, timeout=TIMEOUT)
            if not await self._learn_stops(channel):
                return

            consumers = [await self._consume(channel, name, runs) for name in (SENDER_SINGLES, SENDER_JOBS)]
            log.info("jobs_awaited", prefetch=self._prefetch)
            self.is_consuming = True
            await until_closed(channel, self._stopping)
            if self._stopping.is_set():
                await self._hand_back(consumers)
        finally:
            self.is_consuming = False
            for run in runs:
                run.lost = True

    async def _consume(self, channel: AbstractChannel, name: str, runs: set[Run]) -> tuple[AbstractQueue, str]:
        async def on_job(delivery: AbstractIncomingMessage) -> None:
            await self._take(delivery, name, runs)

        queue = await channel.get_queue(name, ensure=False)
        return queue, await queue.consume(on_job, timeout=TIMEOUT)

    async def _learn_stops(self, channel: AbstractChannel) -> bool:
        """Listens for stops, and asks for those that were said before; False when the session is over.

        The order matters: a stop said in between is heard on the queue.
        """
        heard = asyncio.Event()

        async def on_stops(message: AbstractIncomingMessage) -> None:
            try:
                stops = STOPS.validate_json(message.body)
            except ValidationError as error:
                # Skipped. If it was a planner's answer, another is asked for.
                log.error("stops_not_understood", size=len(message.body), reason=describe_error(error))
                return
            self._delivery.stop_mailings(stops.revisions)
            if not message.exchange:  # straight to this queue, so it is the answer
                heard.set()

        # A new name each time: the broker may not have noticed yet that the last connection is gone.
        name = f"sender.control.{self._name}.{token_hex(3)}"
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, timeout=TIMEOUT)
        await queue.bind(CONTROL, timeout=TIMEOUT)
        await queue.consume(on_stops, no_ack=True, timeout=TIMEOUT)
        over = asyncio.create_task(until_closed(channel, self._stopping))
        answer = asyncio.create_task(heard.wait())
        try:
            while not (over.done() or answer.done()):
                await self._publisher.publish(QUESTIONS, "stops", b"{}", reply_to=queue.name)
                await asyncio.wait([over, answer], timeout=ASK_AGAIN_AFTER, return_when=asyncio.FIRST_COMPLETED)
                if not answer.done() and not over.done():
                    log.warning("stops_not_known", waiting_for="a planner to answer")
            return answer.done()
        finally:
            over.cancel()
            answer.cancel()

    async def _take(self, delivery: AbstractIncomingMessage, queue: str, runs: set[Run]) -> None:
        """Takes a job in hand, or refuses it."""
        try:
            self._begin(delivery, queue == SENDER_SINGLES, runs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must go somewhere
            for run in runs:
                run.lost |= run.delivery is delivery
            await refuse(delivery, queue, error, self._publisher)

    def _begin(self, delivery: AbstractIncomingMessage, express: bool, runs: set[Run]) -> None:
        """Puts a job's messages in line; a redelivered one goes straight back: somebody may have begun it."""
        job = JOB.validate_json(delivery.body)
        run = Run(job, delivery, Bounds.of(job), unconfirmed=len(job.messages), express=express)
        ids = {"mailing_id": job.mailing_id, "job_id": job.job_id, "messages": len(job.messages)}
        run.span = tracing.start_span("process sender.jobs", job.traceparent, kind="consumer", attributes=ids)
        runs.difference_update([known for known in runs if known.unconfirmed == 0])
        runs.add(run)
        log.debug("job_taken", **run.ids, messages=len(job.messages))
        if delivery.redelivered:
            log.info("job_was_redelivered", **run.ids)
            self._delivery.give_back(run, ReturnReason.REDELIVERED)
        else:
            self._delivery.take(run)

    async def _hand_back(self, consumers: Sequence[tuple[AbstractQueue, str]]) -> None:
        """Takes no more jobs, ends what is in flight, gives back the rest, and waits until that is told."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                for queue, tag in consumers:
                    await queue.cancel(tag)
                await self._delivery.drain()
                await self._reporter.flush_all()
        except TimeoutError:
            log.warning("drain_timed_out", seconds=DRAIN_TIMEOUT)
