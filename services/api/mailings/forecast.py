"""Forecast of a mailing: how many clients get their message too late, and when the last message is sent. Pure.

Messages flow like a liquid, as fast as the rate allows. At every instant the zones with open windows are served.
Those that close first come first, as in the planner. A window that opens or closes, and a zone that is done, are
events. Between two events the forecast is arithmetic.
"""

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.pacing import FILL
from shared.windows import Opening, Window, offsets, openings
from shared.zones import find_zone

HORIZON = timedelta(days=366)  # the forecast ends here
_ROUNDING = 1e-6  # part of a message that inexact sums may leave


@dataclass(frozen=True, slots=True)
class Forecast:
    """Result of a forecast.

    `unknown_zones` is the number of clients who get no message because their zone is unknown. `late` is the number
    of others who cannot be served in time. `finish` is the instant of the last message. It is None if there is
    none, or if it is too far ahead.
    """

    unknown_zones: int
    late: int
    finish: datetime | None


@dataclass(slots=True)
class _Group:
    """Clients whose windows are open at the same times."""

    left: float
    openings: Iterator[Opening]


def forecast(
    by_zone: Mapping[str, int], window: Window | None, rate: float | None, begins: datetime, ends: datetime
) -> Forecast:
    """Forecast a mailing to these clients. Without a rate, sending takes no time."""
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
    """Group the clients by their openings. With a window, clients of unknown zones are left out."""
    if window is None:
        return [_Group(sum(by_zone.values()), iter((Opening(begins, ends),)))]
    alike: dict[object, _Group] = {}
    for name, clients in by_zone.items():
        if (zone := find_zone(name)) is not None:
            group = _Group(0, openings(window, zone, begins, ends))
            alike.setdefault(offsets(zone, begins, ends), group).left += clients
    return list(alike.values())


def _serve(groups: list[_Group], speed: float, now: datetime) -> datetime | None:
    """Simulate until all clients are served or no window opens any more; return the time of the last message."""
    waiting: list[tuple[datetime, datetime, int]] = []  # opens, closes, index of the group
    opened: list[tuple[datetime, int]] = []  # closes, index of the group
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
    """Serve the group until then, or until all of it is served; return that time."""
    most = (until - now).total_seconds() * speed
    if group.left > most + _ROUNDING:
        group.left -= most
        return until
    ends = now + timedelta(seconds=group.left / speed)
    group.left = 0
    return min(ends, until)
