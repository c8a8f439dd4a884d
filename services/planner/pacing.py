"""Rate limits as a timetable: every message under a limit gets the instant at which it may be POSTed. Pure.

Slots are spaced evenly and given away once, by whoever holds the lock of the release, so the limit holds over any
number of senders without a word between them: a sender keeps to the slot, or gives the message back. A slot that
nobody used is gone. So nothing is saved up while senders are away, and nothing bursts when they come back.

Instants are in seconds since the epoch.
"""

import heapq
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import IntEnum

from shared.pacing import FILL

MOST = 1.05  # times the limit: what no one-second window may go beyond
TRAVEL = 0.005  # seconds: how much the way from a POST's beginning to its arrival varies
LEAD = 0.1  # seconds from release to the first slot: the way through the broker to a sender
CATCH_UP = 0.25  # seconds by which who only shares the provider may be behind, and make up for it
AHEAD = 0.5  # seconds: slots are given away up to so far ahead, in several turns


@dataclass(frozen=True, slots=True)
class Limit:
    """Messages per second, and from when on its slots are free."""

    rate: float
    free_from: float = 0.0
    left_over: tuple[
        float, ...
    ] = ()  # slots before that, ascending, which nobody had a use for when they were given

    @property
    def spacing(self) -> float:
        """Seconds from one slot to the next."""
        return 1 / (FILL * self.rate)

    @property
    def slot_lasts(self) -> float:
        """How many seconds late a POST may begin.

        If all of them are as late as they may be, and then none is, a second has what 1 + `slot_lasts` seconds
        should have had, and one more at its edge. At low rates, where that one is too many, it must not come.
        """
        return max((MOST - 1 / self.rate) / FILL, 1 / FILL) - 1 - TRAVEL

    def first_slot(self, now: float) -> float:
        """The earliest that is to be given away now, those left over aside."""
        return max(now + LEAD, self.free_from)

    def slots_until(self, end: float, now: float) -> int:
        """How many there are to be given away before that instant, those left over aside."""
        return max(0, math.ceil((end - self.first_slot(now)) / self.spacing))

    def budget(self, now: float) -> int:
        """How many slots may be given away now."""
        earliest, end = now + LEAD, now + LEAD + AHEAD
        return self.slots_until(end, now) + sum(earliest <= slot < end for slot in self.left_over)

    def chunk(self, most: int) -> int:
        """How many messages a job may have: few enough that its slots are a matter of moments."""
        return max(1, min(most, int(self.rate * AHEAD / 2)))


class Rank(IntEnum):
    """Who goes first when several may have a slot."""

    URGENT = 0  # what is sent on its own
    LIMITED = 1  # what a limit of its own forbids to catch up later
    SHARED = 2  # what only shares the provider


@dataclass(frozen=True, slots=True)
class Demand:
    """Messages of one mailing that are to get slots. `limit`: of its own, or its share of the provider's."""

    messages: int
    limit: Limit | None = None
    rank: Rank = Rank.SHARED


@dataclass(frozen=True, slots=True)
class Timetable:
    """For each mailing, ascending slots; and the limits as they are afterwards."""

    slots: dict[int, list[float]]
    limits: dict[int, Limit]
    provider: Limit | None


def timetable(demands: Mapping[int, Demand], provider: Limit | None, now: float) -> Timetable:
    """Gives every message under a limit a slot. Mailings with no limit of any kind get none."""
    if provider is None:
        return _each_by_itself(demands, now)
    return _in_turn(demands, provider, now + LEAD)


def _each_by_itself(demands: Mapping[int, Demand], now: float) -> Timetable:
    slots: dict[int, list[float]] = {}
    limits: dict[int, Limit] = {}
    for mailing_id, demand in demands.items():
        if demand.limit is not None:
            begin, spacing = demand.limit.first_slot(now), demand.limit.spacing
            slots[mailing_id] = [begin + number * spacing for number in range(demand.messages)]
            limits[mailing_id] = replace(demand.limit, free_from=begin + demand.messages * spacing)
    return Timetable(slots, limits, None)


def _in_turn(demands: Mapping[int, Demand], provider: Limit, earliest: float) -> Timetable:
    """The provider's slots, one after the other, each to the mailing that has been due for one for longest.

    A slot for which none is due is left over, for who comes later.
    """
    slots: dict[int, list[float]] = {mailing_id: [] for mailing_id in demands}
    due = {
        mailing_id: max(earliest, demand.limit.free_from if demand.limit else 0.0)
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
            # From the instant that it was due, or its rate would sink with every wait for its turn.
            arrears = provider.spacing if rank is Rank.LIMITED else CATCH_UP
            due[mailing_id] = max(since, slot - arrears) + limit.spacing
        if len(slots[mailing_id]) < demands[mailing_id].messages:
            heapq.heappush(waiting, (due[mailing_id], mailing_id))
    limits = {
        mailing_id: replace(demand.limit, free_from=due[mailing_id])
        for mailing_id, demand in demands.items()
        if demand.limit
    }
    left = (*left_over, *instants.left_over)
    return Timetable(slots, limits, Limit(provider.rate, instants.free_from, left))


class _Instants:
    """A limit's slots from `earliest` on, ascending and without end: those left over, then fresh ones."""

    def __init__(self, limit: Limit, earliest: float) -> None:
        self.left_over = deque(slot for slot in limit.left_over if slot >= earliest)
        self.free_from = max(earliest, limit.free_from)
        self._spacing = limit.spacing

    def __iter__(self) -> "_Instants":
        return self

    def __next__(self) -> float:
        if self.left_over:
            return self.left_over.popleft()
        slot = self.free_from
        self.free_from += self._spacing
        return slot
