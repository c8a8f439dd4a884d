"""Waiting limits that grow with the load of the machine, so that a test does not fail because others work."""

import os
import time
from collections.abc import Callable

LONGEST = 5.0  # times the limit of an idle machine


class Patience:
    """Limit in seconds of an idle machine.

    A second counts less, the more processes share a core. The load is measured while the test waits: it is an
    average of the last minute, and each look adds the time since the look before.
    """

    def __init__(
        self,
        seconds: float,
        *,
        load: Callable[[], float] = lambda: os.getloadavg()[0],
        clock: Callable[[], float] = time.monotonic,
        cores: int = os.cpu_count() or 1,
    ) -> None:
        self._left = seconds
        self._load, self._clock, self._cores = load, clock, cores
        self._began = self._last = clock()

    @property
    def waited(self) -> float:
        """Seconds since the beginning."""
        return self._last - self._began

    def is_over(self) -> bool:
        """Return True once the limit is reached."""
        now = self._clock()
        self._left -= (now - self._last) / self._slowness()
        self._last = now
        return self._left <= 0

    def _slowness(self) -> float:
        """Return how many processes share a core, from 1 up to LONGEST."""
        return min(max(self._load() / self._cores, 1.0), LONGEST)
