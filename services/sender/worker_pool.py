"""Pool of workers, which deliver the messages of the jobs that this sender holds."""

import asyncio
import math
import time
from collections.abc import Mapping, Sequence

from services.sender.backlog import Backlog, SendLane, WaitingMessage
from services.sender.delivery import Delivery
from services.sender.held_job import HeldJob
from services.sender.reporting import Reporter
from services.sender.send_gate import SendGate
from shared.contracts import Outcome, Result, ReturnReason


class WorkerPool:
    """A bounded number of workers, and the messages that wait for them."""

    def __init__(self, delivery: Delivery, gate: SendGate, reporter: Reporter, *, workers: int) -> None:
        self._delivery = delivery
        self._gate = gate
        self._reporter = reporter
        self._workers = workers
        self._backlog = Backlog()
        self._slot_timers: set[asyncio.Task[None]] = set()

    def count_waiting(self) -> int:
        """Return the number of messages that wait for a worker. Those with a later slot do not count yet."""
        return self._backlog.qsize()

    def add_job(self, held_job: HeldJob) -> None:
        """Enqueue the messages of a job. A message with a slot is enqueued when its slot begins."""
        if held_job.job.slots_ms is None:
            lane = SendLane.SINGLE if held_job.is_single else SendLane.WITHOUT_SLOT
            for message in held_job.job.messages:
                self._backlog.put_nowait(WaitingMessage(lane, held_job, message, math.inf))
        else:
            timer = asyncio.create_task(self._enqueue_at_slots(held_job, held_job.job.slots_ms))
            self._slot_timers.add(timer)
            timer.add_done_callback(self._slot_timers.discard)

    def return_job(self, held_job: HeldJob, reason: ReturnReason) -> None:
        """Report all messages of a job as not tried."""
        messages = held_job.job.messages
        results = [Result(message_id=one.id, outcome=Outcome.RETURNED, reason=reason) for one in messages]
        self._reporter.add_results(held_job, results)

    def stop_mailings(self, revisions: Mapping[int, int]) -> None:
        """POST no message that was released below its mailing's revision."""
        self._gate.stop_mailings(revisions)

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._workers):
                workers.create_task(self._work())

    async def drain(self) -> None:
        """Begin no POST, end those in flight, return all other messages, and publish the results."""
        self._gate.shut_down()
        for timer in self._slot_timers:
            timer.cancel()
        await asyncio.gather(*self._slot_timers, return_exceptions=True)
        await self._backlog.join()
        await self._reporter.flush_all()

    async def _work(self) -> None:
        while True:
            waiting = await self._backlog.get()
            try:
                await self._delivery.deliver(waiting)
            except Exception as error:  # noqa: BLE001 - every message must have a result
                self._delivery.report_fault(waiting.held_job, waiting.message, error)
            finally:
                self._backlog.task_done()

    async def _enqueue_at_slots(self, held_job: HeldJob, slots_ms: Sequence[int]) -> None:
        lane = SendLane.SINGLE if held_job.is_single else SendLane.WITH_SLOT
        remaining = iter(zip(held_job.job.messages, slots_ms, strict=True))
        try:
            for message, slot_ms in remaining:
                slot = slot_ms / 1000
                latest = slot + held_job.job.slot_lasts_ms / 1000
                try:
                    if (wait := slot - time.time()) > 0:
                        await asyncio.sleep(wait)
                finally:  # also when it is cancelled: then the gate returns the message
                    self._backlog.put_nowait(WaitingMessage(lane, held_job, message, latest))
        finally:
            for message, _ in remaining:
                self._backlog.put_nowait(WaitingMessage(lane, held_job, message, 0.0))
