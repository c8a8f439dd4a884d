"""Delivery of the messages of held jobs: which may go now, and what the reply to each one means.

The gate is asked immediately before every POST. `services.sender.worker` does the POST.
"""

import asyncio
import random
from collections.abc import Callable

from services.sender.adapter import Adapter
from services.sender.backlog import Backlog, WaitingMessage
from services.sender.breaker import Passage
from services.sender.gating import CIRCUIT_OPEN, SHUTDOWN, Obstacle
from services.sender.observer import SenderObserver
from services.sender.repeats import RepeatPolicy, pause_before_repeat
from services.sender.reporting import Reporter
from services.sender.send_gate import SendGate
from services.sender.settings import SenderSettings
from services.sender.verdict import Verdict
from shared.clock import CLOCK
from shared.contracts import Acceptance, Attempt, Outcome, Result

FAULT = "fault in the sender, see its log"


class Delivery:
    """The messages that wait, and everything that the workers share."""

    def __init__(
        self,
        adapter: Adapter,
        gate: SendGate,
        reporter: Reporter,
        observer: SenderObserver,
        settings: SenderSettings,
    ) -> None:
        self.adapter = adapter
        self.gate = gate
        self.observer = observer
        self.backlog = Backlog()
        self.request_timeout = settings.request_timeout.total_seconds()
        self.connect_timeout = settings.connect_timeout.total_seconds()
        self._reporter = reporter
        self._policy = RepeatPolicy(most=settings.quick_retries, is_idempotent=settings.provider_idempotent)
        self._blocked: list[WaitingMessage] = []  # by the circuit breaker, until the next probe
        self._pausing: dict[asyncio.TimerHandle, WaitingMessage] = {}  # before a quick repeat, or a slot
        self._noting: list[WaitingMessage] = []  # until the broker confirms the note of them
        self._under_way = 0
        self.begun = 0  # POSTs since the start
        self._none_under_way = asyncio.Event()
        # Set by the pool of workers: there is something to do for so many workers.
        self.wake: Callable[[int], None] = lambda _count: None
        # Set by the note taker: messages may wait for a note.
        self.want_notes: Callable[[], None] = lambda: None

    def count_waiting(self) -> int:
        """Return the number of messages that wait for a worker. Those with a later slot do not count yet."""
        waiting = len(self._blocked) + len(self._pausing) + len(self._noting)
        return len(self.backlog) + len(self.backlog.unnoted) + waiting

    def has_work(self) -> bool:
        """Return True if a worker would find a message."""
        return bool(self.backlog) and not self.gate.is_closed

    # Before a POST

    def next_message(self) -> WaitingMessage | None:
        """Remove and return the next message that may go now. Report those that may not."""
        gate = self.gate
        gate.beat()
        if gate.is_closed:
            return None
        now = CLOCK.time()
        while (waiting := self.backlog.get()) is not None:
            obstacle = gate.find_obstacle(waiting, now)
            if obstacle is not None:
                self._turn_back(waiting, obstacle)
            elif gate.admits(waiting.held_job):
                self._under_way += 1
                self.begun += 1
                if self.backlog.unnoted:
                    self.want_notes()
                return waiting
            elif waiting.attempts or waiting.held_job.job.slots_ms is not None:  # neither can wait for a probe
                self._turn_back(waiting, CIRCUIT_OPEN)
            else:
                self._blocked.append(waiting)
        if self.backlog.unnoted:
            self.want_notes()
        return None

    def _turn_back(self, waiting: WaitingMessage, obstacle: Obstacle, retry_after: float | None = None) -> None:
        """Report a message that may not be POSTed. An obstacle counts only if there was no POST before."""
        if waiting.held_job.is_refused and not waiting.attempts:
            return
        if waiting.attempts:
            outcome, reason = waiting.attempts[-1].outcome, None
        else:
            outcome, reason = obstacle.outcome, obstacle.reason
        self._report(
            waiting,
            Result(
                message_id=waiting.message.id,
                outcome=outcome,
                attempts=waiting.attempts,
                reason=reason,
                retry_after=retry_after,
            ),
        )

    # After a POST

    def settle(self, waiting: WaitingMessage, verdict: Verdict, began: float, duration_ms: int) -> None:
        """Report the message or repeat its POST."""
        self._end_one()
        at_ms = int(began * 1000)
        if verdict.outcome is Outcome.ACCEPTED and not waiting.attempts and verdict.provider_message_id is None:
            self._reporter.add_acceptance(waiting.held_job, Acceptance(waiting.message.id, at_ms, duration_ms))
            return
        text = verdict.provider_text or verdict.provider_message_id
        attempt = Attempt(at_ms, duration_ms, verdict.outcome, verdict.provider_status, text)
        attempts = (*waiting.attempts, attempt)
        has_slot = waiting.held_job.job.slots_ms is not None
        is_repeatable = self._policy.allows(verdict, len(attempts), duration_ms, has_slot=has_slot)
        if is_repeatable and not self.gate.is_shut_down:
            self._repeat_later(waiting._replace(attempts=attempts))
            return
        result = Result(
            message_id=waiting.message.id,
            outcome=verdict.outcome,
            attempts=attempts,
            retry_after=verdict.retry_after,
        )
        self._report(waiting, result)

    def report_fault(self, waiting: WaitingMessage, error: Exception) -> None:
        """Report a message whose delivery failed by a fault of ours: it may have been POSTed."""
        self._end_one()
        self.observer.delivery_failed(waiting.held_job, waiting.message, error)
        attempt = Attempt(int(CLOCK.time() * 1000), 0, Outcome.UNCERTAIN, None, FAULT)
        result = Result(message_id=waiting.message.id, outcome=Outcome.UNCERTAIN, attempts=(attempt,))
        self._report(waiting, result)

    def _end_one(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._none_under_way.set()

    def _report(self, waiting: WaitingMessage, result: Result) -> None:
        self._reporter.add_results(waiting.held_job, [result])
        self.observer.result_decided(waiting.held_job, waiting.message, result)

    # Quick repeats

    def _repeat_later(self, waiting: WaitingMessage) -> None:
        chance = random.random()  # noqa: S311 - it only spreads the repeats
        self.put_later(waiting, pause_before_repeat(len(waiting.attempts), chance))

    # Notes

    def take_unnoted(self, most: int) -> list[WaitingMessage]:
        """Remove and return messages that need a note before they may begin. Report those that may not begin."""
        taken: list[WaitingMessage] = []
        now = CLOCK.time()
        while len(taken) < most and (waiting := self.backlog.unnoted.get()) is not None:
            obstacle = self.gate.find_obstacle(waiting, now)
            passage = self.gate.passage(waiting.held_job)
            if obstacle is not None:
                self._turn_back(waiting, obstacle)
            elif passage is Passage.BLOCKED and waiting.held_job.job.slots_ms is not None:
                self._turn_back(waiting, CIRCUIT_OPEN)
            elif passage is Passage.BLOCKED:
                self._blocked.append(waiting)
            else:
                taken.append(waiting)
                if passage is Passage.PROBE:  # one is enough to find out
                    break
        self._noting = taken
        return taken

    def end_noting(self) -> list[WaitingMessage]:
        """Return the messages that were being noted and have not been returned meanwhile."""
        noted, self._noting = self._noting, []
        return noted

    def put_later(self, waiting: WaitingMessage, seconds: float) -> None:
        """Let a message wait for its POST after so many seconds, or at once if there are none."""
        if seconds <= 0:
            self.backlog.put(waiting)
            return

        def put() -> None:
            del self._pausing[handle]
            self.backlog.put(waiting)
            self.wake(1)

        handle = asyncio.get_running_loop().call_later(seconds, put)
        self._pausing[handle] = waiting

    def return_lost(self) -> None:
        """Report the messages of lost jobs that have not begun: their planner need not guess."""
        lost = [*self.backlog.take_lost()]
        lost += [waiting for waiting in (*self._blocked, *self._noting) if waiting.held_job.is_lost]
        self._blocked = [waiting for waiting in self._blocked if not waiting.held_job.is_lost]
        self._noting = [waiting for waiting in self._noting if not waiting.held_job.is_lost]
        for waiting in lost:
            self._turn_back(waiting, SHUTDOWN)

    # The circuit breaker

    def review_blocked(self, most_returned: int) -> None:
        """Let messages go that are not blocked any more. Return some of the others, so that they do not wait long.

        A message that is returned is soon here again, and a provider that is out must not keep planner and broker
        busy. So no more than `most_returned` go back at a time. But the messages of a mailing that fails alone are
        in the way of others: all of them go back, until the mailing may be probed.
        """
        if self.gate.is_closed:
            return
        blocked, self._blocked = self._blocked, []
        now, freed = CLOCK.time(), len(self.backlog)
        probed: set[int] = set()
        for waiting in blocked:
            held_job = waiting.held_job
            passage = self.gate.passage(held_job)
            if (obstacle := self.gate.find_obstacle(waiting, now)) is not None:
                self._turn_back(waiting, obstacle)
            elif passage is Passage.FREE:
                self.backlog.put(waiting)
            elif passage is Passage.PROBE and held_job.job.mailing_id not in probed:
                probed.add(held_job.job.mailing_id)
                self.backlog.put_first(waiting)
            elif self.gate.is_suspended(held_job):
                self._turn_back(waiting, CIRCUIT_OPEN, self.gate.until_probe(held_job))
            elif most_returned > 0:
                most_returned -= 1
                self._turn_back(waiting, CIRCUIT_OPEN)
            else:
                self._blocked.append(waiting)
        if (freed := len(self.backlog) - freed) > 0:
            self.wake(freed)

    # The end

    async def drain(self) -> None:
        """End the POSTs under way, and report all other messages. The gate must be shut down."""
        for handle in self._pausing:
            handle.cancel()
        waiting = [*self._pausing.values(), *self._blocked, *self.end_noting(), *self.backlog.take_all()]
        self._pausing, self._blocked = {}, []
        now = CLOCK.time()
        for one in waiting:
            obstacle = self.gate.find_obstacle(one, now)
            assert obstacle is not None, "the gate is shut down"
            self._turn_back(one, obstacle)
        while self._under_way:
            self._none_under_way.clear()
            await self._none_under_way.wait()
