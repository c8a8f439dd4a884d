"""Rate limits as a timetable: every message under a limit gets a slot, the instant at which it may be POSTed.
Pure.

Slots are evenly spaced, and each is given away once, under the lock of the release. A sender keeps to the slot, or
returns the message. So the limit holds over any number of senders, which need not talk to each other. An unused
slot is gone: nothing is saved up while senders are away, and nothing bursts when they come back.

Instants are in seconds since the epoch.
"""

import heapq
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from shared.pacing import FILL

MAX_EXCESS = 1.05  # times the limit: the most that any second may have
TRAVEL = 0.005  # seconds by which the time from a POST's beginning to its arrival varies
LEAD = 0.1  # seconds from a release to its first slot, for the way through the broker to a sender
CATCH_UP = 0.25  # seconds that a mailing without its own limit may be behind and still catch up
AHEAD = 0.5  # seconds: slots are given away at least this far ahead, in several rounds
STEP = 0.001  # seconds between the first slots of mailings that begin together


@dataclass(frozen=True, slots=True)
class Limit:
    """Messages per second, and the slots that are free.

    These are all slots from `next_slot_at` on, and the earlier ones in `left_over`, ascending, that nobody needed
    when they were given away.
    """

    rate: float
    next_slot_at: float = 0.0
    left_over: tuple[float, ...] = ()

    @property
    def spacing(self) -> float:
        """Seconds from one slot to the next."""
        return 1 / (FILL * self.rate)

    @property
    def slot_lasts(self) -> float:
        """Seconds after its slot at which a POST may still begin.

        If all POSTs are as late as they may be, and then none is, one second has the POSTs of 1 + `slot_lasts`
        seconds, and one more at its edge. At low rates, where one more is too many, this one must not come.
        """
        return max((MAX_EXCESS - 1 / self.rate) / FILL, 1 / FILL) - 1 - TRAVEL

    def first_slot(self, now: float) -> float:
        """Return the first slot that may be given away now, apart from the left-over ones."""
        return max(now + LEAD, self.next_slot_at)

    def slots_until(self, end: float, now: float) -> int:
        """Return how many slots may be given away before the instant, apart from the left-over ones."""
        return max(0, math.ceil((end - self.first_slot(now)) / self.spacing))

    def not_before(self, instant: float) -> "Limit":
        """Return the limit without the slots before the instant, apart from the left-over ones."""
        return replace(self, next_slot_at=max(self.next_slot_at, instant))

    def budget(self, now: float, ahead: float = AHEAD) -> int:
        """Return how many slots may be given away now, up to `ahead` seconds after the first that can be kept."""
        earliest, end = now + LEAD, now + LEAD + ahead
        return self.slots_until(end, now) + sum(earliest <= slot < end for slot in self.left_over)

    def chunk(self, limit: int) -> int:
        """Return how many messages a job may have, at most `limit`: so few that its slots are close together."""
        return max(1, min(limit, int(self.rate * AHEAD / 2)))


def spread(limits: Mapping[int, Limit], first_slot: float) -> dict[int, Limit]:
    """Return the limits, from the first slot on. Those that begin there get first slots that follow each other.

    Mailings that begin together would otherwise have all their slots at the same instants. No sender could keep
    them.
    """
    beginning = [mailing_id for mailing_id, limit in limits.items() if limit.next_slot_at <= first_slot]
    steps = {mailing_id: STEP * number for number, mailing_id in enumerate(beginning)}
    return {
        mailing_id: limit.not_before(first_slot + steps.get(mailing_id, 0.0))
        for mailing_id, limit in limits.items()
    }


class Rank(IntEnum):
    """Order in which mailings get a slot that several could use."""

    SINGLE = 0  # a single message
    LIMITED = 1  # a mailing with its own limit, which cannot catch up later
    SHARED = 2  # a mailing that only shares the provider


@dataclass(frozen=True, slots=True)
class Demand:
    """Messages of one mailing that need slots. `limit` is the mailing's own, or its share of the provider's."""

    messages: int
    limit: Limit | None = None
    rank: Rank = Rank.SHARED


@dataclass(frozen=True, slots=True)
class Timetable:
    """Ascending slots of each mailing, and the limits as they are afterwards."""

    slots: dict[int, list[float]]
    limits: dict[int, Limit]
    provider: Limit | None


def timetable(demands: Mapping[int, Demand], provider: Limit | None, now: float) -> Timetable:
    """Give every message under a limit a slot. Mailings without any limit get none."""
    if provider is None:
        return _without_provider_limit(demands, now)
    return _with_provider_limit(demands, provider, now + LEAD)


def _without_provider_limit(demands: Mapping[int, Demand], now: float) -> Timetable:
    slots: dict[int, list[float]] = {}
    limits: dict[int, Limit] = {}
    for mailing_id, demand in demands.items():
        if demand.limit is not None:
            begin, spacing = demand.limit.first_slot(now), demand.limit.spacing
            slots[mailing_id] = [begin + number * spacing for number in range(demand.messages)]
            limits[mailing_id] = replace(demand.limit, next_slot_at=begin + demand.messages * spacing)
    return Timetable(slots, limits, None)


def _with_provider_limit(demands: Mapping[int, Demand], provider: Limit, earliest: float) -> Timetable:
    """Give away the provider's slots one after the other, each to the mailing that has been due for longest.

    A slot for which no mailing is due is left over for later.
    """
    slots: dict[int, list[float]] = {mailing_id: [] for mailing_id in demands}
    due = {
        mailing_id: max(earliest, demand.limit.next_slot_at if demand.limit else 0.0)
        for mailing_id, demand in demands.items()
    }
    waiting = [(due[key], key) for key, demand in demands.items() if demand.messages]
    heapq.heapify(waiting)
    ready: list[tuple[Rank, float, int]] = []
    left_over: list[float] = []
    instants = _Instants(provider, earliest)
    while waiting or ready:
        slot = next(instants)
        while waiting and waiting[0][0] <= slot:
            since, mailing_id = heapq.heappop(waiting)
            heapq.heappush(ready, (demands[mailing_id].rank, since, mailing_id))
        if not ready:
            left_over.append(slot)
            continue
        rank, since, mailing_id = heapq.heappop(ready)
        slots[mailing_id].append(slot)
        if limit := demands[mailing_id].limit:
            # Counted from the instant that it was due, because its rate would sink with every wait.
            arrears = provider.spacing if rank is Rank.LIMITED else CATCH_UP
            due[mailing_id] = max(since, slot - arrears) + limit.spacing
        if len(slots[mailing_id]) < demands[mailing_id].messages:
            heapq.heappush(waiting, (due[mailing_id], mailing_id))
    limits = {
        mailing_id: replace(demand.limit, next_slot_at=due[mailing_id])
        for mailing_id, demand in demands.items()
        if demand.limit
    }
    left = (*left_over, *instants.left_over)
    return Timetable(slots, limits, Limit(provider.rate, instants.next_slot_at, left))


class _Instants:
    """Endless ascending slots of a limit from `earliest` on: first the left-over ones, then new ones."""

    def __init__(self, limit: Limit, earliest: float) -> None:
        self.left_over = deque(slot for slot in limit.left_over if slot >= earliest)
        self.next_slot_at = max(earliest, limit.next_slot_at)
        self._spacing = limit.spacing

    def __iter__(self) -> "_Instants":
        return self

    def __next__(self) -> float:
        if self.left_over:
            return self.left_over.popleft()
        slot = self.next_slot_at
        self.next_slot_at += self._spacing
        return slot
