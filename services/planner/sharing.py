"""How the room with the senders is shared among the running mailings. Pure."""

import math
from collections.abc import Mapping


def share_out(room: int, outstanding: Mapping[int, int]) -> dict[int, int]:
    """How many more messages each mailing may have with the senders, so that all get to the same level.

    `outstanding` has the messages of each mailing with due jobs that are with the senders now; `room` is how many
    more there may be in all. Mailings below the common level are filled up to it; those above wait.
    """
    if room <= 0 or not outstanding:
        return {}
    level = _level(room, sorted(outstanding.values()))
    return {mailing: level - count for mailing, count in outstanding.items() if level > count}


def share_rate(rate: float, limits: Mapping[int, float | None]) -> dict[int, float]:
    """Each mailing's part of a rate, so that all have the same but for those whose own limit is below that."""
    shares: dict[int, float] = {}
    unlimited = len(limits)
    for limit, mailing in sorted((limit or math.inf, mailing) for mailing, limit in limits.items()):
        shares[mailing] = min(limit, rate / unlimited)
        rate -= shares[mailing]
        unlimited -= 1
    return shares


def _level(room: int, counts: list[int]) -> int:
    """The level that `room` fills the lowest of the ascending counts to."""
    below = 0
    for filled, count in enumerate(counts, start=1):
        below += count
        level = -(-(room + below) // filled)  # rounded up: the last bit of room is not left unused
        if filled == len(counts) or level <= counts[filled]:
            return level
    raise AssertionError("the last count always ends the loop")
