"""How a mailing will go: who will be late, and when the last message leaves. Pure.

Messages flow like a liquid, as fast as the rate allows. At every instant the zones whose windows are open are
served, those that close first before the others, as the planner does. Whatever changes that (a window opens or
closes, a zone is done) is an event, and between two events it is plain arithmetic.
"""

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.pacing import FILL
from shared.windows import Opening, Window, offsets, openings
from shared.zones import find_zone

HORIZON = timedelta(days=366)  # nothing is foreseen beyond
_ROUNDING = 1e-6  # of a message: what sums that are not exact may leave over


@dataclass(frozen=True, slots=True)
class Forecast:
    """`unknown_zones` counts the clients who cannot be written to for their zone, `late` the others who are not in
    time. `finish` is the instant of the last message; None if there is none, or it lies too far ahead."""

    unknown_zones: int
    late: int
    finish: datetime | None


@dataclass(slots=True)
class _Group:
    """Clients who can be written to at the same times."""

    left: float
    openings: Iterator[Opening]


def forecast(
    by_zone: Mapping[str, int], window: Window | None, rate: float | None, begins: datetime, ends: datetime
) -> Forecast:
    """What is to be expected of a mailing to these clients. Without a rate, sending takes no time."""
    beyond = ends - begins > HORIZON
    until = begins + HORIZON if beyond else ends
    groups = _groups(by_zone, window, begins, until)
    unknown = sum(by_zone.values()) - sum(int(group.left) for group in groups)
    last = _serve(groups, math.inf if rate is None else rate * FILL, begins)
    left = math.ceil(sum(group.left for group in groups) - _ROUNDING)
    if beyond and left:
        return Forecast(unknown, late=0, finish=None)
    return Forecast(unknown, late=left, finish=last)


def _groups(by_zone: Mapping[str, int], window: Window | None, begins: datetime, ends: datetime) -> list[_Group]:
    """Those whose zone is known, if there is a window, and else all."""
    if window is None:
        return [_Group(sum(by_zone.values()), iter((Opening(begins, ends),)))]
    alike: dict[object, _Group] = {}
    for name, clients in by_zone.items():
        if (zone := find_zone(name)) is not None:
            group = _Group(0, openings(window, zone, begins, ends))
            alike.setdefault(offsets(zone, begins, ends), group).left += clients
    return list(alike.values())


def _serve(groups: list[_Group], speed: float, now: datetime) -> datetime | None:
    """Lets time pass until nobody is left, or nothing opens any more; returns when the last was served."""
    waiting: list[tuple[datetime, datetime, int]] = []  # opens, closes, which group
    opened: list[tuple[datetime, int]] = []  # closes, which group
    last = None

    def wait(index: int) -> None:
        opening = next(groups[index].openings, None)
        if opening is not None and groups[index].left:
            heapq.heappush(waiting, (opening.begins, opening.ends, index))

    for index in range(len(groups)):
        wait(index)
    while waiting or opened:
        if not opened:
            now = max(now, waiting[0][0])
        while waiting and waiting[0][0] <= now:
            heapq.heappush(opened, heapq.heappop(waiting)[1:])
        closes, index = opened[0]
        until = min(closes, waiting[0][0]) if waiting else closes
        if now < until:
            now = last = _pour(groups[index], speed, now, until)
        if now >= closes or not groups[index].left:
            heapq.heappop(opened)
            wait(index)
    return last


def _pour(group: _Group, speed: float, now: datetime, until: datetime) -> datetime:
    """Serves the group until then, or until nobody of it is left; returns when that is."""
    most = (until - now).total_seconds() * speed
    if group.left > most + _ROUNDING:
        group.left -= most
        return until
    ends = now + timedelta(seconds=group.left / speed)
    group.left = 0
    return min(ends, until)
