"""Limits of what one person gets: how much marketing, and how soon the same text again. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.statuses import Reason


@dataclass(frozen=True, slots=True)
class Cap:
    """Limits of a mailing for each person: `messages` of marketing within `days` days, and `no_repeat` days."""

    messages: int | None = None
    days: int | None = None
    no_repeat: int | None = None

    @classmethod
    def from_columns(cls, messages: int | None, days: int | None, no_repeat: int | None) -> "Cap | None":
        """Return the limits of a mailing's columns; None if it has none."""
        return None if messages is None and no_repeat is None else cls(messages, days, no_repeat)

    @property
    def looks_back(self) -> timedelta:
        """Time before the release in which messages matter."""
        return timedelta(days=max(self.days or 0, self.no_repeat or 0))


@dataclass(frozen=True, slots=True)
class EarlierMessage:
    """Another message to the same person, which was or may have been sent at the instant, or is on its way now."""

    id: int
    at: datetime
    is_marketing: bool
    is_same_text: bool


def why_enough(cap: Cap, earlier: Iterable[EarlierMessage], now: datetime) -> Reason | None:
    """Return the reason why the person gets no message of the mailing now; None if there is none."""
    others = list(earlier)
    if cap.no_repeat is not None and any(
        other.is_same_text and other.at > now - timedelta(days=cap.no_repeat) for other in others
    ):
        return Reason.REPEATED
    if cap.messages is None or cap.days is None:
        return None
    since = now - timedelta(days=cap.days)
    got = sum(other.is_marketing and other.at > since for other in others)
    return Reason.CAPPED if got >= cap.messages else None
