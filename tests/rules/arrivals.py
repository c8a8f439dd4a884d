"""Limits as the arrivals at the provider show them. Pure. Instants are in seconds since the epoch."""

from collections.abc import Sequence


def worst_second(arrivals: Sequence[float]) -> int:
    """The most arrivals in any one-second interval [t, t + 1), wherever it begins."""
    ordered, first, worst = sorted(arrivals), 0, 0
    for last, instant in enumerate(ordered):
        while ordered[first] <= instant - 1:
            first += 1
        worst = max(worst, last - first + 1)
    return worst


def used(arrivals: Sequence[float], limit: float, periods: Sequence[tuple[float, float]]) -> float:
    """The arrivals within the periods, as a fraction of what the limit allows in them."""
    there = sum(1 for instant in arrivals for begin, end in periods if begin <= instant < end)
    return there / sum((end - begin) * limit for begin, end in periods)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]
