"""Whether a message may be POSTed at this instant. Pure; asked immediately before every POST."""

import math
from dataclasses import dataclass

from shared.contracts import Job, Outcome, ReturnReason


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a message may not be POSTed: it comes back as this outcome."""

    outcome: Outcome
    reason: ReturnReason | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The instants of a job, in seconds since the epoch, as they are compared before every POST."""

    send_before: float
    lease_until: float

    @classmethod
    def of(cls, job: Job) -> "Bounds":
        return cls(job.send_before.timestamp(), job.lease_until.timestamp())


EXPIRED = Obstacle(Outcome.EXPIRED)
STOPPED = Obstacle(Outcome.RETURNED, ReturnReason.STOPPED)
LEASE_OVER = Obstacle(Outcome.RETURNED, ReturnReason.LEASE_OVER)
CIRCUIT_OPEN = Obstacle(Outcome.RETURNED, ReturnReason.CIRCUIT_OPEN)
LATE = Obstacle(Outcome.RETURNED, ReturnReason.LATE)
SHUTDOWN = Obstacle(Outcome.RETURNED, ReturnReason.SHUTDOWN)


def obstacle(
    bounds: Bounds,
    *,
    now: float,
    guard: float,
    revision: int,
    least_revision: int,
    stopping: bool,
    latest: float = math.inf,
) -> Obstacle | None:
    """What speaks against a POST that begins now; None: nothing.

    `latest` is the end of the message's slot, if it has one. `guard` seconds are kept to the deadline, as a
    request takes time to arrive. A job of a `revision` below `least_revision` was released before its mailing
    was paused, canceled or deleted.
    """
    if revision < least_revision:
        return STOPPED
    if now >= bounds.send_before - guard:
        return EXPIRED
    if now >= bounds.lease_until:
        return LEASE_OVER
    if stopping:
        return SHUTDOWN
    if now > latest:
        return LATE
    return None


def time_allowed(bounds: Bounds, *, now: float, request_timeout: float, connect_timeout: float) -> float:
    """How many seconds a request that begins now may take.

    One that is still connecting when the deadline passes must not be written after it. So within a connect
    time-out of the deadline, the request as a whole ends there.
    """
    remaining = bounds.send_before - now
    return request_timeout if remaining > connect_timeout else min(request_timeout, remaining)
