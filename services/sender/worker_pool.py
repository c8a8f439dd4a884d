"""Pool of workers, which deliver the messages of the jobs that this sender holds."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence

from services.sender.backlog import SendLane, WaitingMessage
from services.sender.delivery import Delivery
from services.sender.held_job import HeldJob
from services.sender.http.exchange import Engine
from services.sender.reporting import Reporter
from services.sender.worker import DeliveryWorker
from shared.clock import CLOCK
from shared.contracts import Outcome, Result, ReturnReason

NOTED_AHEAD = 0.1  # seconds before its slot at which a message is noted, if it must be
BEAT = 0.2  # seconds between two looks at the clock
OpenEngine = Callable[[Sequence[DeliveryWorker], Callable[[], bool]], Engine]


class WorkerPool:
    """A bounded number of workers, each with a connection of its own, and the messages that wait for them."""

    def __init__(
        self, delivery: Delivery, reporter: Reporter, open_engine: OpenEngine, *, workers: int, probe_every: float
    ) -> None:
        self._delivery = delivery
        self._gate = delivery.gate
        self._reporter = reporter
        self._open_engine = open_engine
        self._workers = workers
        self._probe_every = probe_every
        self._slot_timers: set[asyncio.Task[None]] = set()

    def count_waiting(self) -> int:
        """Return the number of messages that wait for a worker. Those with a later slot do not count yet."""
        return self._delivery.count_waiting()

    def add_job(self, held_job: HeldJob) -> None:
        """Enqueue the messages of a job. A message with a slot is enqueued when its slot begins."""
        if held_job.job.slots_ms is None:
            lane = SendLane.SINGLE if held_job.is_single else SendLane.WITHOUT_SLOT
            for message in held_job.job.messages:
                self._delivery.backlog.put(WaitingMessage(lane, held_job, message, math.inf))
            # Not before the caller has ended without an error: then nothing of the job has been sent.
            asyncio.get_running_loop().call_soon(self._wake, len(held_job.job.messages))
        else:
            timer = asyncio.create_task(self._enqueue_at_slots(held_job, held_job.job.slots_ms))
            self._slot_timers.add(timer)
            timer.add_done_callback(self._slot_timers.discard)

    def return_job(self, held_job: HeldJob, reason: ReturnReason) -> None:
        """Report all messages of a job as not tried."""
        messages = held_job.job.messages
        results = [Result(message_id=one.id, outcome=Outcome.RETURNED, reason=reason) for one in messages]
        self._reporter.add_results(held_job, results)

    def return_lost(self) -> None:
        """Report the messages that have not begun, of jobs whose connection is lost."""
        self._delivery.return_lost()

    def stop_mailings(self, revisions: Mapping[int, int], epoch: int = 0) -> None:
        """POST no message that was released below its mailing's revision."""
        self._gate.stop_mailings(revisions, epoch)

    def note_beacon(self) -> None:
        """Take note of a beacon: a planner can reach this sender."""
        self._gate.note_beacon()

    # Pauses of this process, and silences of the planners

    def count_pauses(self) -> int:
        """Return a number to give to `end_pause`."""
        return self._gate.closings

    async def wait_for_pause(self) -> None:
        """Wait until a pause of this process was detected. From then on nothing is POSTed."""
        await self._gate.closed.wait()

    def end_pause(self, pauses: int) -> None:
        """Go on: the jobs are ours, and the stops are known. Do nothing if there was another pause meanwhile."""
        self._gate.reopen(pauses)
        self._delivery.wake(self._workers)

    def _wake(self, count: int) -> None:
        self._delivery.wake(count)

    # Running

    async def run(self) -> None:
        """Work until cancelled."""
        workers = [DeliveryWorker(self._delivery) for _ in range(self._workers)]
        engine = self._open_engine(workers, self._delivery.has_work)
        self._delivery.wake = engine.wake
        engine.wake(len(self._delivery.backlog))
        loop = asyncio.get_running_loop()
        review_at = loop.time() + self._probe_every
        try:
            while True:
                await asyncio.sleep(min(BEAT, max(review_at - loop.time(), 0.0)))
                self._gate.beat()
                if loop.time() >= review_at:
                    review_at = loop.time() + self._probe_every
                    self._delivery.review_blocked(self._workers)
        finally:
            await engine.close()

    async def drain(self) -> None:
        """Begin no POST, end those in flight, return all other messages, and publish the results."""
        self._gate.shut_down()  # first: a message whose timer is cancelled must not go before its slot
        for timer in self._slot_timers:
            timer.cancel()
        await asyncio.gather(*self._slot_timers, return_exceptions=True)
        await self._delivery.drain()
        await self._reporter.flush_all()

    async def _enqueue_at_slots(self, held_job: HeldJob, slots_ms: Sequence[int]) -> None:
        lane = SendLane.SINGLE if held_job.is_single else SendLane.WITH_SLOT
        remaining = iter(zip(held_job.job.messages, slots_ms, strict=True))
        lead = NOTED_AHEAD if held_job.job.must_note else 0.0
        try:
            for message, slot_ms in remaining:
                slot = slot_ms / 1000
                latest = slot + held_job.job.slot_lasts_ms / 1000
                try:
                    if (wait := slot - lead - CLOCK.time()) > 0:
                        await asyncio.sleep(wait)
                finally:  # also when it is cancelled: then the gate returns the message
                    self._delivery.backlog.put(WaitingMessage(lane, held_job, message, latest, earliest=slot))
                    self._delivery.wake(1)
        finally:
            for message, _ in remaining:
                self._delivery.backlog.put(WaitingMessage(lane, held_job, message, 0.0))
