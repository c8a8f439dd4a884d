"""Queue of the messages that wait for their POST: single messages first, then those with a slot, then others."""

from collections import deque
from enum import IntEnum
from typing import NamedTuple

from services.sender.held_job import HeldJob
from shared.contracts import Attempt, JobMessage


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
    attempts: tuple[Attempt, ...] = ()  # POSTs of this message in this job


class Backlog:
    """A queue with lanes."""

    def __init__(self) -> None:
        self._lanes: tuple[deque[WaitingMessage], ...] = tuple(deque() for _ in SendLane)

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def put(self, waiting: WaitingMessage) -> None:
        """Add a message at the end of its lane."""
        self._lanes[waiting.lane].append(waiting)

    def put_first(self, waiting: WaitingMessage) -> None:
        """Add a message at the front of its lane."""
        self._lanes[waiting.lane].appendleft(waiting)

    def get(self) -> WaitingMessage | None:
        """Remove and return the first message; None if there is none."""
        for lane in self._lanes:
            if lane:
                return lane.popleft()
        return None
