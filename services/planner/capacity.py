"""Capacity of the senders: how many more messages they should hold to have work for some seconds. Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.planner.pacing import Limit


@dataclass(frozen=True, slots=True)
class Done:
    """Messages of mailings without a limit in the jobs that were done during the last `period`.

    `newest_lease` is the end of the lease of the job among them that was released last.
    """

    messages: int
    period: timedelta
    newest_lease: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shares:
    """Messages of each mailing that may be released now; those of `unlimited` mailings get `room` together."""

    messages: Mapping[int, int]
    unlimited: frozenset[int] = frozenset()
    room: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Settings that bound the work with the senders."""

    ahead: timedelta
    chunk: int
    least: int  # messages, while the senders' speed is unknown


def room_without_limit(done: Done, outstanding: int, bounds: Bounds, senders: int) -> int:
    """Return how many more messages without a limit the senders should get.

    They hold what they do in `ahead`, and a job for each sender beyond it. So a sender that is quicker than the
    last measurement is found out, and one that is slow does not get work for many seconds.
    """
    if not done.messages:
        return bounds.least - outstanding
    expected = math.ceil(done.messages * (bounds.ahead / done.period))
    return expected + min(bounds.least, bounds.chunk * senders) - outstanding


def shares_with_limit(
    limits: Mapping[int, Limit], rooms: Mapping[int, int], chunk: int, jobs: int
) -> dict[int, int]:
    """Return the messages of each mailing that get slots now, in about so many jobs. The first slots go first.

    `rooms` has the messages that each mailing may have.
    """
    shares: dict[int, int] = {}
    for mailing_id in sorted(rooms, key=lambda mailing_id: limits[mailing_id].next_slot_at):
        if jobs <= 0:
            break
        size = limits[mailing_id].chunk(chunk)
        if (share := min(rooms[mailing_id], jobs * size)) > 0:
            shares[mailing_id] = share
            jobs -= math.ceil(share / size)
    return shares
