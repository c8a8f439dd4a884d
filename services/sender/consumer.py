"""Consumer of jobs: the sender's session on each connection to the broker."""

import asyncio
from collections.abc import Sequence

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from services.sender.held_job import HeldJob
from services.sender.observer import SenderObserver
from services.sender.stops import StopsListener
from services.sender.worker_pool import WorkerPool
from shared.broker.dead_letters import refuse
from shared.broker.publisher import Publisher
from shared.broker.sessions import until_closed
from shared.contracts import JOB, ReturnReason
from shared.topology import SENDER_JOBS, SENDER_SINGLES, SENDER_SLOTS, TIMEOUT

DRAIN_TIMEOUT = 7.0  # seconds
# A job with slots waits for them, and those of a slow mailing have one message each. The planner hands them out
# about a second before their slots, so that these are few however many there are.
SLOTS_PREFETCH = 1_000


class JobConsumer:
    """Learns the stops in force, then takes jobs until the connection is lost or the sender stops.

    At the end it finishes or returns the jobs that it holds.
    """

    def __init__(
        self,
        pool: WorkerPool,
        stops: StopsListener,
        publisher: Publisher,
        observer: SenderObserver,
        *,
        prefetch: int,
        stopping: asyncio.Event,
    ) -> None:
        self._pool = pool
        self._stops = stops
        self._publisher = publisher
        self._observer = observer
        self._prefetch = prefetch
        self._stopping = stopping
        self.is_consuming = False

    async def session(self, channel: AbstractChannel) -> None:
        """Run one session, for `shared.broker.sessions.run_sessions`."""
        held_jobs: set[HeldJob] = set()
        try:
            if not await self._learn_stops(channel):
                return
            prefetch = {SENDER_SINGLES: self._prefetch, SENDER_SLOTS: SLOTS_PREFETCH, SENDER_JOBS: self._prefetch}
            consumers = [await self._consume(channel, name, held_jobs, prefetch[name]) for name in prefetch]
            self._observer.jobs_requested(self._prefetch)
            self.is_consuming = True
            await self._hold_until_closed(channel)
            if self._stopping.is_set():
                await self._drain(consumers)
        finally:
            self.is_consuming = False
            for held_job in held_jobs:
                held_job.is_lost = True
            self._pool.return_lost()

    async def _learn_stops(self, channel: AbstractChannel) -> bool:
        """Learn the stops in force over this channel. Return False if it closes before."""
        pauses = self._pool.count_pauses()
        is_known = await self._stops.listen(channel, self._stopping)
        if is_known:
            self._pool.end_pause(pauses)
        return is_known

    async def _hold_until_closed(self, channel: AbstractChannel) -> None:
        """Wait for the end of the session. After each pause of this process, learn the stops again.

        An answer over this channel proves that the broker has not delivered our jobs to another sender.
        """

        async def end_pauses() -> None:
            while True:
                await self._pool.wait_for_pause()
                if not await self._learn_stops(channel):
                    return

        tasks = [
            asyncio.create_task(until_closed(channel, self._stopping)),
            asyncio.create_task(end_pauses()),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _consume(
        self, channel: AbstractChannel, name: str, held_jobs: set[HeldJob], prefetch: int
    ) -> tuple[AbstractQueue, str]:
        async def on_job(amqp_message: AbstractIncomingMessage) -> None:
            await self._accept_or_refuse(amqp_message, name, held_jobs)

        await channel.set_qos(prefetch_count=prefetch, timeout=TIMEOUT)  # for the next consumer
        queue = await channel.get_queue(name, ensure=False)
        return queue, await queue.consume(on_job, timeout=TIMEOUT)

    async def _accept_or_refuse(
        self, amqp_message: AbstractIncomingMessage, queue: str, held_jobs: set[HeldJob]
    ) -> None:
        try:
            self._accept(amqp_message, queue == SENDER_SINGLES, held_jobs)
        except Exception as error:  # noqa: BLE001 - any other job must go to the dead letters
            for held_job in held_jobs:
                if held_job.amqp_message is amqp_message:
                    held_job.is_lost = held_job.is_refused = True
            await refuse(amqp_message, queue, error, self._publisher)

    def _accept(self, amqp_message: AbstractIncomingMessage, is_single: bool, held_jobs: set[HeldJob]) -> None:
        """Hold a job. Return a redelivered one at once, because another sender may have begun it."""
        held_job = HeldJob.of(JOB.validate_json(amqp_message.body), amqp_message, is_single=is_single)
        held_jobs.difference_update([known for known in held_jobs if known.unreported == 0])
        held_jobs.add(held_job)
        self._observer.job_received(held_job)
        if amqp_message.redelivered:
            self._pool.return_job(held_job, ReturnReason.REDELIVERED)
        else:
            self._pool.add_job(held_job)

    async def _drain(self, consumers: Sequence[tuple[AbstractQueue, str]]) -> None:
        """Take no more jobs, and finish or return those held."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT):
                for queue, tag in consumers:
                    await queue.cancel(tag)
                await self._pool.drain()
        except TimeoutError:
            self._observer.drain_timed_out(DRAIN_TIMEOUT)
