"""The speed of a running mailing, and what it means for its end. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.console.rest.answers import Mailing

WINDOW = timedelta(seconds=10)  # the speed is the mean over this time
SHORTEST = timedelta(seconds=1.5)  # less says nothing about the speed


@dataclass(frozen=True, slots=True)
class Sample:
    """Number of messages that were handled by an instant."""

    at: datetime
    handled: int


@dataclass(frozen=True, slots=True)
class Pace:
    """Messages a second, when the last one leaves at this speed, and how many do not leave in time."""

    per_second: float
    finish: datetime | None
    late: int


def measured_pace(mailing: Mailing, samples: Sequence[Sample], now: datetime) -> Pace | None:
    """Return the pace over the last seconds; None while too little is known."""
    recent = [sample for sample in samples if now - sample.at <= WINDOW]
    if len(recent) < 2 or recent[-1].at - recent[0].at < SHORTEST:
        return None
    return _pace(mailing, recent[-1].handled - recent[0].handled, recent[-1].at - recent[0].at, now)


def mean_pace(mailing: Mailing, now: datetime) -> Pace | None:
    """Return the pace since the start; None if the mailing has not started."""
    if mailing.started_at is None or now - mailing.started_at < SHORTEST:
        return None
    return _pace(mailing, mailing.handled, (mailing.finished_at or now) - mailing.started_at, now)


def _pace(mailing: Mailing, messages: int, took: timedelta, now: datetime) -> Pace | None:
    seconds = took.total_seconds()
    if seconds <= 0:
        return None
    per_second = max(0, messages) / seconds
    if not mailing.open:
        return Pace(per_second, None, 0)
    if not per_second:
        return Pace(0, None, 0)
    # A window keeps people waiting however fast the rest goes: the speed says nothing about the end then.
    if mailing.window is not None:
        return Pace(per_second, None, 0)
    left = timedelta(seconds=mailing.open / per_second)
    in_time = max(0.0, (mailing.expired_at - now).total_seconds()) * per_second
    return Pace(per_second, now + left, max(0, round(mailing.open - in_time)))
