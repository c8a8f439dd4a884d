"""How the room with the senders is shared among the running mailings. Pure."""

import math
from collections.abc import Mapping


def share_out(room: int, outstanding: Mapping[int, int], most: Mapping[int, int] | None = None) -> dict[int, int]:
    """How many more messages each mailing may have with the senders, so that all get to the same level.

    `outstanding` has the messages of each mailing with due jobs that are with the senders now; `room` is how many
    more there may be in all, and `most` how many more of a mailing. Mailings below the common level are filled up
    to it; those above wait; what one may not have goes to the others.
    """
    caps = most or {}
    shares: dict[int, int] = {}
    sharing = dict(outstanding)
    while room > 0 and sharing:
        level = _level(room, sorted(sharing.values()))
        wanted = {mailing: level - count for mailing, count in sharing.items() if level > count}
        capped = {mailing: caps[mailing] for mailing, more in wanted.items() if more > caps.get(mailing, math.inf)}
        if not capped:
            return shares | wanted
        for mailing, cap in capped.items():
            del sharing[mailing]
            room -= cap
            if cap > 0:
                shares[mailing] = cap
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
