"""The last seven days over all mailings, against the seven days before. Pure, but for the calls of the API."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.console.rest.answers import ReasonCount, Statistics
from services.console.rest.calls import Api
from services.console.words import Explanation, explanation_of
from shared.statuses import MessageStatus

DAYS = 7
MOST_REASONS = 4


@dataclass(frozen=True, slots=True)
class Day:
    """Messages of one day that were sent, and those that should have been. Canceled ones count as neither."""

    day: date
    sent: int
    unsent: int


@dataclass(frozen=True, slots=True)
class Reason:
    """Messages that were not sent, and the reason in words."""

    status: MessageStatus
    messages: int
    explanation: Explanation


@dataclass(frozen=True, slots=True)
class Week:
    """Numbers of seven days, today included. Single messages count as sent or unsent like all others."""

    days: Sequence[Day]
    sent: int
    unsent: int
    singles: int
    sent_before: int  # in the seven days before
    unsent_before: int
    reasons: Sequence[Reason]

    @property
    def most(self) -> int:
        """Highest number of messages of a day, at least 1."""
        return max(1, *(day.sent + day.unsent for day in self.days))


async def last_week(api: Api, zone: ZoneInfo, now: datetime) -> Week:
    """Return the numbers of the last seven days of the time zone."""
    today = now.astimezone(zone).date()
    first = today - timedelta(days=DAYS - 1)
    begin = datetime.combine(first, time(), zone)
    before = datetime.combine(first - timedelta(days=DAYS), time(), zone)
    query = {"zone": zone.key, "step": "day"}
    this, last = await asyncio.gather(
        api.statistics({**query, "from": begin.isoformat()}),
        api.statistics({**query, "from": before.isoformat(), "until": begin.isoformat()}),
    )
    return week_of(this, last, [first + timedelta(days=number) for number in range(DAYS)], zone)


def week_of(this: Statistics, last: Statistics, days: Sequence[date], zone: ZoneInfo) -> Week:
    """Return the numbers of these days and of the time before. A day without messages has zeros."""
    by_day = {period.at.astimezone(zone).date(): period for period in this.periods}
    counted = []
    for day in days:
        period = by_day.get(day)
        sent = period.count(MessageStatus.SENT) if period else 0
        counted.append(Day(day, sent, period.handled - sent if period else 0))
    sent_before = sum(period.count(MessageStatus.SENT) for period in last.periods)
    return Week(
        days=counted,
        sent=sum(day.sent for day in counted),
        unsent=sum(day.unsent for day in counted),
        singles=this.single_messages.all,
        sent_before=sent_before,
        unsent_before=sum(period.handled for period in last.periods) - sent_before,
        reasons=[_in_words(reason) for reason in this.reasons[:MOST_REASONS]],
    )


def _in_words(reason: ReasonCount) -> Reason:
    return Reason(reason.status, reason.messages, explanation_of(reason.status, reason.reason))
