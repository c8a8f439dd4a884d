"""How the room with the senders is shared among the running mailings. Pure."""

from collections.abc import Mapping


def share_out(room: int, outstanding: Mapping[int, int]) -> dict[int, int]:
    """How many more messages each mailing may have with the senders, so that all get to the same level.

    `outstanding` has the messages of each mailing with due jobs that are with the senders now; `room` is how many
    more there may be in all. Mailings below the common level are filled up to it; those above wait.
    """
    if room <= 0 or not outstanding:
        return {}
    members = sorted(outstanding.items(), key=lambda pair: (pair[1], pair[0]))
    level, filled = _level(room, [count for _, count in members])
    return {mailing: level - count for mailing, count in members[:filled] if level > count}


def _level(room: int, counts: list[int]) -> tuple[int, int]:
    """The level that `room` fills the lowest of the ascending counts to, and how many of them it reaches."""
    below = 0
    for filled, count in enumerate(counts, start=1):
        below += count
        level = -(-(room + below) // filled)  # rounded up: the last bit of room is not left unused
        if filled == len(counts) or level <= counts[filled]:
            return level, filled
    raise AssertionError("the last count always ends the loop")
