"""Rules that are checked immediately before every POST: may the message be sent now? Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from shared.contracts import Job, Outcome, ReturnReason


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Reason against a POST. The message is reported with this outcome."""

    outcome: Outcome
    reason: ReturnReason | None = None


EXPIRED = Obstacle(Outcome.EXPIRED)
STOPPED = Obstacle(Outcome.RETURNED, ReturnReason.STOPPED)
LEASE_OVER = Obstacle(Outcome.RETURNED, ReturnReason.LEASE_OVER)
CIRCUIT_OPEN = Obstacle(Outcome.RETURNED, ReturnReason.CIRCUIT_OPEN)
LATE = Obstacle(Outcome.RETURNED, ReturnReason.LATE)
SHUTDOWN = Obstacle(Outcome.RETURNED, ReturnReason.SHUTDOWN)


@dataclass(frozen=True, slots=True)
class JobDeadlines:
    """Deadlines of a job, in seconds since the epoch, as they are compared before every POST."""

    send_before: float
    lease_until: float

    @classmethod
    def of(cls, job: Job) -> "JobDeadlines":
        """Return the deadlines of the job."""
        return cls(job.send_before.timestamp(), job.lease_until.timestamp())


class StoppedMailings:
    """Mailings that were paused, canceled or deleted, each with its revision since then."""

    def __init__(self) -> None:
        self._revisions: dict[int, int] = {}
        self._epoch = 0

    def add(self, revisions: Mapping[int, int], epoch: int = 0) -> None:
        """Stop these mailings, and jobs of earlier epochs. A stop may come late, twice or out of order."""
        self._epoch = max(epoch, self._epoch)
        for mailing_id, revision in revisions.items():
            self._revisions[mailing_id] = max(revision, self._revisions.get(mailing_id, 0))

    def includes(self, job: Job) -> bool:
        """Return True if the job was released before its mailing was stopped, or in an earlier epoch."""
        if job.epoch is not None and job.epoch < self._epoch:
            return True
        return job.revision < self._revisions.get(job.mailing_id, 0)


def find_obstacle(
    deadlines: JobDeadlines,
    *,
    now: float,
    guard: float,
    is_stopped: bool,
    is_shutdown: bool,
    latest: float = math.inf,
) -> Obstacle | None:
    """Return the reason against a POST that begins now, or None.

    A request takes time to arrive, so no POST begins within `guard` seconds before the deadline. `is_stopped`
    says that the mailing was stopped after the job's release. `latest` is the end of the message's slot.
    """
    if is_stopped:
        return STOPPED
    if now >= deadlines.send_before - guard:
        return EXPIRED
    if now >= deadlines.lease_until:
        return LEASE_OVER
    if is_shutdown:
        return SHUTDOWN
    if now > latest:
        return LATE
    return None


def time_allowed(deadlines: JobDeadlines, *, now: float, request_timeout: float, connect_timeout: float) -> float:
    """Return the number of seconds that a request may take if it begins now.

    A request that is still connecting at the deadline must not be written after it. So a request that begins
    within a connect time-out of the deadline ends at the deadline.
    """
    remaining = deadlines.send_before - now
    return request_timeout if remaining > connect_timeout else min(request_timeout, remaining)
