"""Queue of the messages that wait for their POST: single messages first, then those with a slot, then others.

A message to a provider that must not be asked twice waits before it, until the broker has a note that it begins.
"""

from collections import deque
from collections.abc import Iterator
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
    """A message that waits for its POST, which may begin from `earliest` to `latest`, in seconds since 1970."""

    lane: SendLane
    held_job: HeldJob
    message: JobMessage
    latest: float
    attempts: tuple[Attempt, ...] = ()  # POSTs of this message in this job
    earliest: float = 0.0


class Lanes:
    """A queue with lanes."""

    def __init__(self) -> None:
        self._lanes: tuple[deque[WaitingMessage], ...] = tuple(deque() for _ in SendLane)

    def __len__(self) -> int:
        return sum(map(len, self._lanes))

    def __bool__(self) -> bool:
        return any(self._lanes)  # asked before every POST

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

    def take_lost(self) -> Iterator[WaitingMessage]:
        """Remove and yield the messages whose job is lost."""
        for lane in self._lanes:
            for _ in range(len(lane)):
                waiting = lane.popleft()
                if waiting.held_job.is_lost:
                    yield waiting
                else:
                    lane.append(waiting)


class Backlog(Lanes):
    """Messages that may begin, and in `unnoted` those that need a note before."""

    def __init__(self) -> None:
        super().__init__()
        self.unnoted = Lanes()

    def put(self, waiting: WaitingMessage) -> None:
        """Add a message at the end of its lane."""
        if waiting.held_job.may_begin(waiting.message):
            super().put(waiting)
        else:
            self.unnoted.put(waiting)

    def put_first(self, waiting: WaitingMessage) -> None:
        """Add a message at the front of its lane."""
        if waiting.held_job.may_begin(waiting.message):
            super().put_first(waiting)
        else:
            self.unnoted.put_first(waiting)

    def take_lost(self) -> Iterator[WaitingMessage]:
        """Remove and yield the messages whose job is lost."""
        yield from super().take_lost()
        yield from self.unnoted.take_lost()

    def take_all(self) -> Iterator[WaitingMessage]:
        """Remove and yield all messages."""
        while (waiting := self.get() or self.unnoted.get()) is not None:
            yield waiting
