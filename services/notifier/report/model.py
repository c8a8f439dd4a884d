"""Facts of one day, and what follows from them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from shared.statuses import FINAL_STATUSES, MessageStatus

DAYS_OF_MEAN = 7
DAYS_SHOWN = 14
Counts = Mapping[str, int]  # number of messages by final status


@dataclass(frozen=True, slots=True)
class MailingOfDay:
    """A mailing that had messages settled on the day. `id` 0 stands for all single messages."""

    id: int
    text: str
    state: str
    expired_at: datetime | None
    counts: Counts

    @property
    def total(self) -> int:
        """Number of its messages that ended on the day."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class StartingMailing:
    """A mailing that starts on the day of the report."""

    id: int
    text: str
    starts_at: datetime


@dataclass(frozen=True, slots=True)
class ProviderAnswer:
    """An answer for which messages failed, and how many of them."""

    status: int | None
    text: str
    messages: int


@dataclass(frozen=True, slots=True)
class ReportFacts:
    """All that the report of a day shows.

    `days` has the counts of DAYS_SHOWN days, the last of which is `day`. `reasons` counts messages that were not
    sent, by status and reason.
    """

    day: date
    zone: ZoneInfo
    days: Sequence[tuple[date, Counts]]
    mailings: Sequence[MailingOfDay]
    more_mailings: int
    reasons: Sequence[tuple[str, str, int]]
    answers: Sequence[ProviderAnswer]
    held: int
    parts: int
    starting: Sequence[StartingMailing]

    @property
    def counts(self) -> Counts:
        """Messages of the day by final status."""
        return self.days[-1][1]

    @property
    def total(self) -> int:
        """Messages that ended on the day."""
        return sum(self.counts.values())

    @property
    def is_empty(self) -> bool:
        """True if nothing happened, and nothing starts or waits."""
        return not (self.total or self.starting or self.held)

    @property
    def missed(self) -> list[MailingOfDay]:
        """Return the mailings with messages that were not sent before the end or the last opening."""
        return [mailing for mailing in self.mailings if mailing.counts.get(MessageStatus.EXPIRED)]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Number of a day beside the number of the day before and the mean of the seven days before.

    The changes are shares, such as 0.1 for a tenth more. They are None if there is nothing to compare with.
    """

    status: MessageStatus
    value: int
    to_day_before: float | None
    to_mean: float | None


def compare(facts: ReportFacts) -> list[Comparison]:
    """Compare the day with those before it, status by status."""
    *earlier, (_, today) = facts.days
    week = [counts for _, counts in earlier[-DAYS_OF_MEAN:]]
    return [
        Comparison(
            status,
            today.get(status, 0),
            _change(today.get(status, 0), week[-1].get(status, 0)),
            _change(today.get(status, 0), sum(counts.get(status, 0) for counts in week) / len(week)),
        )
        for status in MessageStatus
        if status in FINAL_STATUSES
    ]


def _change(now: int, before: float) -> float | None:
    return now / before - 1 if before else None
