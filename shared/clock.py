"""Clock of this process, corrected by a reference: PostgreSQL's clock, or that of a planner which follows it.

Between two comparisons the time is counted by a clock that nobody sets. So a host whose clock is wrong, or is set
while the process runs, neither sends too early nor too late.
"""

import math
import time
from typing import Final

LARGEST_CORRECTION = 0.5  # seconds; beyond, an operator must know


def ticks() -> float:
    """Return the seconds of a clock that is never set. It goes on while the machine is suspended."""
    return _TICKS()


class CorrectedClock:
    """The time of day in seconds since the epoch. Without a comparison it is the host's."""

    __slots__ = ("_offset",)

    def __init__(self) -> None:
        self._offset: float | None = None  # the time minus the ticks

    def time(self) -> float:
        """Return the time."""
        return time.time() if self._offset is None else _TICKS() + self._offset

    @property
    def is_compared(self) -> bool:
        """True if there was a comparison."""
        return self._offset is not None

    @property
    def correction(self) -> float:
        """Seconds that the host's clock is behind the reference; negative if it is ahead."""
        return self.time() - time.time()

    @property
    def is_host_wrong(self) -> bool:
        """True if the host's clock is so far off that an operator must know."""
        return abs(self.correction) > LARGEST_CORRECTION

    def compare(self, reference: float, asked: float, answered: float) -> None:
        """Compare with the reference's time, which it read between these two ticks.

        As long as our time may be right, it stays as it is, so that it does not tremble with every answer.
        """
        self._keep_within(reference - answered, reference - asked)

    def notice(self, reference: float) -> None:
        """Take note of a time that the reference read before now: ours cannot be earlier."""
        if self._offset is not None:
            self._keep_within(reference - _TICKS(), math.inf)

    def _keep_within(self, least: float, most: float) -> None:
        offset = self.time() - _TICKS()
        if not least <= offset <= most:
            offset = least if most == math.inf else (least + most) / 2
        self._offset = offset


def _ticks_of_system() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


_TICKS: Final = _ticks_of_system if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
CLOCK: Final = CorrectedClock()
