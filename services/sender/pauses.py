"""Detection of pauses: was this process frozen, or its machine? Pure."""

# Seconds. Within less, the broker keeps our jobs, and a stop may take effect later than that anyway.
LONGEST_GAP = 1.0


class PauseDetector:
    """Compares the instants at which it is called. Of the two clocks, each stands still in some kind of pause."""

    __slots__ = ("_monotonic", "_wall")

    def __init__(self, wall: float, monotonic: float) -> None:
        self._wall = wall
        self._monotonic = monotonic

    def gap(self, wall: float, monotonic: float) -> float:
        """Return the length of a pause since the last call, in seconds; 0 if it was none."""
        longest = max(wall - self._wall, monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        return longest if longest > LONGEST_GAP else 0.0
