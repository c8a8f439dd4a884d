"""Conditions: which alerts are justified by what was observed. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.alert_rules import RULES, AlertKind

# A condition must be absent for so long until its alert ends, so that one that comes and goes is one alert.
ABSENT_BEFORE_END = timedelta(minutes=1)
LEAST_FAILED = 20  # messages; below it, a share says nothing
LEAST_FAILED_POSTS = 3
RATE_OVER = timedelta(minutes=5)  # over which the speed of a mailing is measured


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the settings."""

    late_share: float
    failed_share: float
    paused_for: timedelta
    clock_off: timedelta
    database_bytes: int | None


@dataclass(frozen=True, slots=True)
class RunningMailing:
    """Numbers of a running mailing; `settled_lately` are those that ended within RATE_OVER."""

    id: int
    total: int
    due: int
    settled_lately: int
    expired_at: datetime


@dataclass(frozen=True, slots=True)
class Observations:
    """State of the system. None stands for what could not be observed now."""

    now: datetime
    running: Sequence[RunningMailing]
    paused: Mapping[int, datetime]  # mailings with open messages, since when
    ended_lately: int  # messages that ended within ten minutes, without canceled ones
    failed_lately: int
    failed_posts: int  # within a minute
    answered_posts: int
    clock_difference: timedelta
    webhooks_off: Mapping[int, str]
    database_bytes: int | None
    dead_letters: Mapping[str, int] | None  # by queue
    senders: int | None


@dataclass(frozen=True, slots=True)
class Condition:
    """An alert that is justified now, and the numbers that its text shows."""

    kind: AlertKind
    subject: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str]:
        """Return what tells alerts apart."""
        return (self.kind.value, self.subject)


def find_conditions(seen: Observations, limits: Limits) -> Iterator[Condition]:
    """Yield the conditions that hold now."""
    if seen.failed_posts >= LEAST_FAILED_POSTS and not seen.answered_posts:
        yield Condition(AlertKind.PROVIDER_OUT, facts={"posts": seen.failed_posts})
    if seen.senders == 0:
        yield Condition(AlertKind.SENDERS_GONE)
    yield from _late(seen, limits)
    for mailing_id, since in seen.paused.items():
        if seen.now - since >= limits.paused_for:
            facts = {"mailing_id": mailing_id, "since": since.isoformat()}
            yield Condition(AlertKind.MAILING_PAUSED, str(mailing_id), facts)
    if seen.failed_lately >= LEAST_FAILED and seen.failed_lately > limits.failed_share * seen.ended_lately:
        counts = {"failed": seen.failed_lately, "ended": seen.ended_lately}
        yield Condition(AlertKind.MESSAGES_FAIL, facts=counts)
    for queue, messages in (seen.dead_letters or {}).items():
        if messages:
            yield Condition(AlertKind.DEAD_LETTERS, queue, {"messages": messages})
    if abs(seen.clock_difference) > limits.clock_off:
        difference = round(seen.clock_difference.total_seconds(), 1)
        yield Condition(AlertKind.CLOCK_OFF, facts={"seconds": difference})
    for webhook_id, because in seen.webhooks_off.items():
        yield Condition(AlertKind.WEBHOOK_OFF, str(webhook_id), {"because": because})
    if limits.database_bytes and seen.database_bytes and seen.database_bytes >= limits.database_bytes:
        yield Condition(AlertKind.DATABASE_LARGE, facts={"bytes": seen.database_bytes})


def _late(seen: Observations, limits: Limits) -> Iterator[Condition]:
    """Yield the mailings that will leave more than the allowed share unsent at their present speed."""
    for mailing in seen.running:
        time_left = (mailing.expired_at - seen.now) / RATE_OVER
        unsent = mailing.due - mailing.settled_lately * time_left
        if mailing.due and unsent > limits.late_share * mailing.total:
            facts = {"mailing_id": mailing.id, "due": mailing.due, "unsent": round(unsent)}
            yield Condition(AlertKind.MAILING_LATE, str(mailing.id), facts)


def unknown_kinds(seen: Observations) -> set[str]:
    """Return the kinds of alerts that could not be judged now. These neither begin nor end."""
    kinds = set()
    if seen.dead_letters is None:
        kinds.add(AlertKind.DEAD_LETTERS.value)
    if seen.senders is None:
        kinds.add(AlertKind.SENDERS_GONE.value)
    return kinds


class Memory:
    """Since when each condition has been present or absent, as this process has observed it."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, str], datetime] = {}
        self._absent_since: dict[tuple[str, str], datetime] = {}

    def observe(
        self, conditions: Sequence[Condition], open_keys: set[tuple[str, str]], unknown: set[str], now: datetime
    ) -> None:
        """Note which conditions hold now."""
        present = {condition.key for condition in conditions}
        kept = {key: at for key, at in self._since.items() if key in present or key[0] in unknown}
        self._since = dict.fromkeys(present, now) | kept
        self._absent_since = {
            key: self._absent_since.get(key, now)
            for key in open_keys
            if key not in present and key[0] not in unknown
        }

    def has_held(self, condition: Condition, now: datetime) -> bool:
        """Return True if the condition has held for as long as its alert needs."""
        return now - self._since[condition.key] >= RULES[condition.kind].hold

    def is_over(self, key: tuple[str, str], now: datetime) -> bool:
        """Return True if the condition of an open alert has been absent for long enough."""
        since = self._absent_since.get(key)
        return since is not None and now - since >= ABSENT_BEFORE_END
