"""Gate before every POST: the rules of `gating`, with the stops in force, the circuit breaker and the clock."""

import asyncio
import math
import time
from collections.abc import Mapping
from contextlib import suppress

from services.sender.breaker import Breaker
from services.sender.gating import CIRCUIT_OPEN, Obstacle, StoppedMailings, find_obstacle
from services.sender.held_job import HeldJob
from services.sender.judging import Verdict
from services.sender.observer import SenderObserver
from services.sender.settings import SenderSettings


class SendGate:
    """Gate that all workers pass."""

    def __init__(self, settings: SenderSettings, observer: SenderObserver) -> None:
        self._guard = settings.deadline_guard.total_seconds()
        self._breaker = Breaker(settings.breaker_threshold, settings.breaker_probe_every.total_seconds())
        self._observer = observer
        self._stopped_mailings = StoppedMailings()
        self._is_shutdown = False
        self._circuit_closed = asyncio.Event()  # or the process is about to end

    def stop_mailings(self, revisions: Mapping[int, int]) -> None:
        """Let no message pass that was released below its mailing's revision."""
        self._stopped_mailings.add(revisions)

    def shut_down(self) -> None:
        """Let no message pass any more."""
        self._is_shutdown = True
        self._circuit_closed.set()

    async def pass_message(self, held_job: HeldJob, latest: float = math.inf) -> Obstacle | None:
        """Return None when a POST may begin now, else the obstacle.

        While the circuit is open, a message waits for the next probe before it is returned. Otherwise it
        would come back at once, and a provider that is out would keep planner and broker busy. A slot cannot
        wait.
        """
        if (obstacle := self._find_obstacle(held_job, latest)) is not None:
            return obstacle
        if self._breaker.admits(time.monotonic()):
            return None
        if held_job.job.slots_ms is not None:
            return CIRCUIT_OPEN
        await self._wait_for_probe()
        if (obstacle := self._find_obstacle(held_job, latest)) is not None:
            return obstacle
        return None if self._breaker.admits(time.monotonic()) else CIRCUIT_OPEN

    def learn(self, verdict: Verdict) -> None:
        """Let the circuit breaker know how a POST ended."""
        if not self._breaker.learn(verdict, time.monotonic()):
            return
        if self._breaker.is_open:
            self._circuit_closed.clear()
            self._observer.circuit_opened(verdict)
        else:
            self._circuit_closed.set()
            self._observer.circuit_closed()

    def _find_obstacle(self, held_job: HeldJob, latest: float) -> Obstacle | None:
        return find_obstacle(
            held_job.deadlines,
            now=time.time(),
            guard=self._guard,
            is_stopped=self._stopped_mailings.includes(held_job.job),
            is_shutdown=self._is_shutdown or held_job.is_lost,
            latest=latest,
        )

    async def _wait_for_probe(self) -> None:
        """Wait until the next probe is due, the circuit closes, or the process is about to end.

        All workers wake up together. One POSTs the probe, and the others return their messages as one job.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._breaker.until_probe(time.monotonic())):
                await self._circuit_closed.wait()
