"""Pauses between attempts to connect. Pure."""

FIRST, LONGEST = 0.05, 1.0  # seconds


def pause_after(failures: int, chance: float) -> float:
    """Return how long to wait after so many failures in a row; `chance` in [0, 1) spreads the attempts."""
    longest: float = min(FIRST * 2.0 ** min(failures - 1, 10), LONGEST)
    return longest * (0.5 + chance / 2)
