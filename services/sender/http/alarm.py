"""One timer for many deadlines."""

import asyncio
import math
from collections.abc import Callable

# Seconds. A timer that fires later than this shows that the process was not running.
LATE = 0.25


class Alarm:
    """Calls `ring(now, is_late)` at the earliest of all instants that were set.

    `ring` returns the next instant to be called at, or infinity. Instants are those of the event loop's clock.
    """

    __slots__ = ("_handle", "_loop", "_ring", "at")

    def __init__(self, ring: Callable[[float, bool], float]) -> None:
        self._loop = asyncio.get_running_loop()
        self._ring = ring
        self._handle: asyncio.TimerHandle | None = None
        self.at = math.inf  # callers compare before they call `set`: nearly always there is nothing to do

    def set(self, at: float) -> None:
        """Ring at `at` or before."""
        if at < self.at:
            self.stop()
            self.at = at
            self._handle = self._loop.call_at(at, self._fire)

    def stop(self) -> None:
        """Forget all instants."""
        self.at = math.inf
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        due, self.at, self._handle = self.at, math.inf, None
        now = self._loop.time()
        self.set(self._ring(now, now > due + LATE))
