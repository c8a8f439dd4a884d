"""Outlook of a mailing: how many people it will reach, or when it will be done at its present speed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.mailings.audience_queries import count_recipients
from services.api.mailings.forecast import forecast
from services.api.mailings.outlook_queries import Handled, count_handled, count_open_by_zone
from services.api.mailings.schemas import MailingForecast, MailingOut
from shared.ledger.progress import STEP
from shared.pacing import FILL
from shared.statuses import MailingState

MEASURED = 3 * STEP  # the present speed is the mean over the last steps
SHORTEST = timedelta(seconds=1.5)  # less says nothing about the speed
COMPARED = timedelta(days=1)  # a mailing with a window is as fast as in its best step of this time

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Course:
    """Course of a running mailing: how much was handled in which time, and the zones of the open messages."""

    handled: Handled
    took: timedelta
    open_by_zone: Mapping[str, int]


async def expected_recipients(connection: AsyncConnection, mailing: MailingOut) -> int | None:
    """Return the size of the audience as it is now; None for a mailing that has started."""
    if mailing.state not in {MailingState.WAITING, MailingState.SCHEDULED}:
        return None
    return await count_recipients(connection, mailing.filter)


async def find_course(connection: AsyncConnection, mailing: MailingOut, now: datetime) -> Course | None:
    """Return the course of a running mailing; None if it does not run, or not long enough to have a speed."""
    if mailing.state is not MailingState.RUNNING or mailing.paused or mailing.started_at is None:
        return None
    begin = now - (now - _EPOCH) % STEP - MEASURED
    took = now - max(begin, mailing.started_at)
    if took < SHORTEST:
        return None
    has_window = mailing.window is not None
    handled = await count_handled(
        connection, mailing.id, since=begin, compared_since=now - COMPARED if has_window else begin
    )
    left = mailing.messages_status.new + mailing.messages_status.active
    return Course(handled, took, await count_open_by_zone(connection, mailing.id) if has_window else {"": left})


async def foresee(
    mailing: MailingOut, course: Course | None, provider_rate: float | None, now: datetime
) -> MailingForecast | None:
    """Return what follows for the end of the mailing, if it goes on like this."""
    if course is None:
        return None
    # In a thread, because a year with clients all over the world takes long.
    return await asyncio.to_thread(forecast_of, mailing, course, provider_rate, now)


def forecast_of(
    mailing: MailingOut, course: Course, provider_rate: float | None, now: datetime
) -> MailingForecast:
    """Return the forecast of a running mailing. Pure."""
    per_second = course.handled.recent / course.took.total_seconds()
    left = sum(course.open_by_zone.values())
    rate = round(per_second, 1)
    if not left or mailing.expired_at <= now:
        return MailingForecast(rate=rate, finish=None, late=left)
    speed: float | None = per_second
    if mailing.window is not None:  # few are served while few windows are open
        speed = max(per_second, course.handled.most / STEP.total_seconds())
    if not speed:
        limits = [limit * FILL for limit in (mailing.rate, provider_rate) if limit is not None]
        speed = min(limits, default=None)
    if speed is None and mailing.window is None:
        return MailingForecast(rate=rate, finish=None, late=None)
    window = None if mailing.window is None else mailing.window.as_window()
    found = forecast(course.open_by_zone, window, None if speed is None else speed / FILL, now, mailing.expired_at)
    return MailingForecast(rate=rate, finish=found.finish, late=found.late + found.unknown_zones)
