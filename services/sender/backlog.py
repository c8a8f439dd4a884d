"""The messages in line for a POST: those sent on their own first, then those whose slot is there, then others."""

import asyncio
from collections import deque
from enum import IntEnum
from typing import NamedTuple

from services.sender.reporting import Run
from shared.contracts import JobMessage


class Lane(IntEnum):
    """The lower goes first."""

    EXPRESS = 0
    TIMED = 1
    ORDINARY = 2


class Waiting(NamedTuple):
    """A message in line. No POST of it may begin after `latest`, in seconds since the epoch."""

    lane: Lane
    run: Run
    message: JobMessage
    latest: float


class _Lanes:
    def __init__(self) -> None:
        self._lanes: tuple[deque[Waiting], ...] = tuple(deque() for _ in Lane)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, waiting: Waiting) -> None:
        self._lanes[waiting.lane].append(waiting)
        self._count += 1

    def get(self) -> Waiting:
        for lane in self._lanes:
            if lane:
                self._count -= 1
                return lane.popleft()
        raise IndexError("nothing is in line")


class Backlog(asyncio.Queue[Waiting]):
    """Lanes in the place of one line, in the way that `asyncio.PriorityQueue` does it."""

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - without bound: the prefetch bounds it
        self._queue = _Lanes()

    def _put(self, item: Waiting) -> None:
        self._queue.put(item)

    def _get(self) -> Waiting:
        return self._queue.get()
