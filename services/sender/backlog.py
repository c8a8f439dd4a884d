"""Queue of the messages that wait for their POST: single messages first, then those with a slot, then others."""

import asyncio
from collections import deque
from enum import IntEnum
from typing import NamedTuple

from services.sender.held_job import HeldJob
from shared.contracts import JobMessage


class SendLane(IntEnum):
    """Lane of the queue. The lowest one that is not empty goes first."""

    SINGLE = 0
    WITH_SLOT = 1
    WITHOUT_SLOT = 2


class WaitingMessage(NamedTuple):
    """A message that waits for its POST, which may not begin after `latest`, in seconds since the epoch."""

    lane: SendLane
    held_job: HeldJob
    message: JobMessage
    latest: float


class _Lanes:
    def __init__(self) -> None:
        self._lanes: tuple[deque[WaitingMessage], ...] = tuple(deque() for _ in SendLane)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, waiting: WaitingMessage) -> None:
        self._lanes[waiting.lane].append(waiting)
        self._count += 1

    def get(self) -> WaitingMessage:
        for lane in self._lanes:
            if lane:
                self._count -= 1
                return lane.popleft()
        raise IndexError("no message is waiting")


class Backlog(asyncio.Queue[WaitingMessage]):
    """A queue with lanes. It replaces the inner queue in the same way as `asyncio.PriorityQueue` does."""

    def _init(self, maxsize: int) -> None:  # noqa: ARG002 - unbounded, because the prefetch bounds it
        self._queue = _Lanes()

    def _put(self, item: WaitingMessage) -> None:
        self._queue.put(item)

    def _get(self) -> WaitingMessage:
        return self._queue.get()
