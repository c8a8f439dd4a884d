"""Sharing of the senders' capacity among the running mailings. Pure."""

import math
from collections.abc import Mapping


def share_out(room: int, outstanding: Mapping[int, int]) -> dict[int, int]:
    """Return how many more messages of each mailing may go to the senders, so that all reach the same level.

    `outstanding` has, for each mailing with due jobs, its messages that are with the senders now. `room` is the
    number of further messages in all. Mailings below the common level are filled up to it, and those above it
    wait.
    """
    if room <= 0 or not outstanding:
        return {}
    level = _level(room, sorted(outstanding.values()))
    return {mailing: level - count for mailing, count in outstanding.items() if level > count}


def share_rate(rate: float, limits: Mapping[int, float | None]) -> dict[int, float]:
    """Return each mailing's part of a rate: the same for all, except for those whose own limit is lower."""
    shares: dict[int, float] = {}
    unlimited = len(limits)
    for limit, mailing in sorted((limit or math.inf, mailing) for mailing, limit in limits.items()):
        shares[mailing] = min(limit, rate / unlimited)
        rate -= shares[mailing]
        unlimited -= 1
    return shares


def _level(room: int, counts: list[int]) -> int:
    """Return the level up to which `room` fills the lowest of the ascending counts."""
    below = 0
    for filled, count in enumerate(counts, start=1):
        below += count
        level = -(-(room + below) // filled)  # rounded up, to use the room completely
        if filled == len(counts) or level <= counts[filled]:
            return level
    raise AssertionError("the last count always ends the loop")
