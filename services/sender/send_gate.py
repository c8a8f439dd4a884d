"""Gate before every POST: the rules of `gating`, with the stops in force, the circuit breaker and the clock."""

import asyncio
import time
from collections.abc import Callable, Mapping

from services.sender.backlog import WaitingMessage
from services.sender.breaker import Breaker, Passage, Sign
from services.sender.gating import Obstacle, StoppedMailings, find_obstacle
from services.sender.held_job import HeldJob
from services.sender.observer import SenderObserver
from services.sender.pauses import PauseDetector
from services.sender.settings import SenderSettings
from services.sender.verdict import Verdict
from shared.contracts import Outcome

# Seconds without a beacon, after which a stop may be on its way that cannot arrive. With the way of the beacon, it
# is less than the second within which a stop takes effect.
LONGEST_SILENCE = 0.8


class SendGate:
    """Gate that all workers pass.

    After a pause of this process, or a silence of all planners, it is closed: jobs may belong to another sender by
    now, and mailings may have been stopped. Whoever finds that out opens it again with `reopen`.
    """

    def __init__(
        self, settings: SenderSettings, observer: SenderObserver, is_outage: Callable[[Verdict], bool]
    ) -> None:
        self._guard = settings.deadline_guard.total_seconds()
        self._breaker = Breaker(settings.breaker_threshold, settings.breaker_probe_every.total_seconds())
        self._is_outage = is_outage
        self._observer = observer
        self._stopped_mailings = StoppedMailings()
        self.is_shut_down = self._is_out = False
        self._suspended: frozenset[int] = frozenset()
        self._last_failure: dict[int, Verdict] = {}
        self._pauses = PauseDetector(time.time(), time.monotonic())
        self._beacon_at: float | None = None  # from a planner; None while no beacon is expected
        self.closings = 0
        self._reopened = 0
        self.closed = asyncio.Event()

    # Pauses

    @property
    def is_closed(self) -> bool:
        """True from a pause or silence until `reopen`."""
        return self.closings != self._reopened

    def beat(self) -> None:
        """Look at the clocks. Must be called several times a second while nothing else happens."""
        if seconds := self._pauses.gap(time.time(), time.monotonic()):
            self.closings += 1
            self.closed.set()
            self._observer.pause_detected(seconds)
        if self._beacon_at is not None and (silent := time.monotonic() - self._beacon_at) > LONGEST_SILENCE:
            self._beacon_at = None
            self.closings += 1
            self.closed.set()
            self._observer.silence_detected(silent)

    def note_beacon(self) -> None:
        """Take note of a beacon: a stop would have arrived, too."""
        self._beacon_at = time.monotonic()

    def reopen(self, closings: int) -> None:
        """Open the gate, unless there was another pause since `closings` was read."""
        if closings == self.closings:
            self._reopened = closings
            self.closed.clear()

    # Stops

    def stop_mailings(self, revisions: Mapping[int, int], epoch: int = 0) -> None:
        """Let no message pass that was released below its mailing's revision."""
        self._stopped_mailings.add(revisions, epoch)

    def shut_down(self) -> None:
        """Let no message pass any more."""
        self.is_shut_down = True

    # Messages

    def find_obstacle(self, waiting: WaitingMessage, now: float) -> Obstacle | None:
        """Return the reason against a POST that begins now, the circuit breaker aside."""
        held_job = waiting.held_job
        return find_obstacle(
            held_job.deadlines,
            now=now,
            guard=self._guard,
            is_stopped=self._stopped_mailings.includes(held_job.job),
            is_shutdown=self.is_shut_down or held_job.is_lost,
            latest=waiting.latest,
        )

    def admits(self, held_job: HeldJob) -> bool:
        """Return True if the circuit breaker lets a POST begin now."""
        return self._breaker.admits(held_job.job.mailing_id, time.monotonic())

    def passage(self, held_job: HeldJob) -> Passage:
        """Return what `admits` would say now, without using up a probe."""
        return self._breaker.passage(held_job.job.mailing_id, time.monotonic())

    def is_suspended(self, held_job: HeldJob) -> bool:
        """Return True if only this mailing fails, so that its messages are in the way of others."""
        return self._breaker.is_suspended(held_job.job.mailing_id)

    def until_probe(self, held_job: HeldJob) -> float:
        """Return the seconds until the job's mailing may be probed."""
        return self._breaker.until_probe(held_job.job.mailing_id, time.monotonic())

    def learn(self, held_job: HeldJob, verdict: Verdict) -> bool:
        """Let the circuit breaker know how a POST ended. Return True if messages that were blocked may go now."""
        now = time.monotonic()
        mailing_id = held_job.job.mailing_id
        sign = self._sign(verdict)
        if sign is Sign.ALIVE and not self._is_out and not self._last_failure:
            self._breaker.learn(mailing_id, sign, now)
            return False
        was_blocked = sign is Sign.ALIVE and self._breaker.passage(mailing_id, now) is not Passage.FREE
        self._breaker.learn(mailing_id, sign, now)
        if sign is Sign.FAILED:
            self._last_failure[mailing_id] = verdict
        if self._last_failure:
            self._observe_suspensions()
        if self._breaker.is_out is not self._is_out:
            self._is_out = not self._is_out
            if self._is_out:
                self._observer.circuit_opened(verdict)
            else:
                self._observer.circuit_closed()
        return was_blocked

    def _observe_suspensions(self) -> None:
        suspended = self._breaker.suspended_mailings()
        for mailing_id in suspended - self._suspended:
            self._observer.mailing_suspended(mailing_id, self._last_failure[mailing_id])
        for mailing_id in self._suspended - suspended:
            self._observer.mailing_resumed(mailing_id)
        self._suspended = suspended
        if not self._breaker.has_failures:
            self._last_failure.clear()

    def _sign(self, verdict: Verdict) -> Sign:
        if verdict.outcome is Outcome.ACCEPTED or verdict.outcome is Outcome.REJECTED:
            return Sign.ALIVE
        if self._is_outage(verdict):
            return Sign.OUT
        return Sign.FAILED if verdict.outcome is Outcome.UNCERTAIN else Sign.NONE
