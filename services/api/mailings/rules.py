"""What may be done to a mailing, in which state and at which times. Pure: no I/O, no clock."""

from collections.abc import Iterable
from datetime import datetime

from services.api.edge.refusals import Invalid, StateForbids
from services.api.mailings.schemas import MailingFields, MailingOut, Retry
from shared.statuses import MailingState, MessageStatus

_OVER = {MailingState.FINISHED, MailingState.CANCELED}


def check_times(starts_at: datetime, expired_at: datetime, now: datetime) -> None:
    """Raises Invalid unless there is a time to send in, and not all of it is past."""
    if expired_at <= starts_at:
        raise Invalid("expired_at", "must be after starts_at")
    check_end(expired_at, now)


def check_end(expired_at: datetime, now: datetime) -> None:
    """Raises Invalid unless it is still to come."""
    if expired_at <= now:
        raise Invalid("expired_at", "is in the past already")


def what_changes(mailing: MailingOut, wanted: MailingFields, now: datetime) -> dict[str, object]:
    """The columns whose values become others; empty if none does.

    Raises StateForbids, Invalid.
    """
    values: dict[str, object] = {**wanted}
    if "filter" in wanted:
        values["filter"] = wanted["filter"].normalised()
    changes = {name: value for name, value in values.items() if value != getattr(mailing, name)}
    if not changes:
        return {}
    if mailing.state in _OVER:
        raise StateForbids(f"The mailing is {mailing.state} and cannot be changed.")
    if "filter" in changes and mailing.state != MailingState.SCHEDULED:
        raise StateForbids("The mailing has started: its audience is fixed, and filter cannot be changed.")
    check_times(wanted.get("starts_at", mailing.starts_at), wanted.get("expired_at", mailing.expired_at), now)
    return changes


def narrows(mailing: MailingOut, changes: dict[str, object], now: datetime) -> bool:
    """Whether what senders hold might be sent at a time that is not allowed any more, or too fast."""
    starts_at, expired_at, rate = (changes.get(name) for name in ("starts_at", "expired_at", "rate"))
    return mailing.state == MailingState.RUNNING and (
        (isinstance(starts_at, datetime) and starts_at > now)
        or (isinstance(expired_at, datetime) and expired_at < mailing.expired_at)
        or "window" in changes
        or (isinstance(rate, float) and (mailing.rate is None or rate < mailing.rate))
    )


def check_pausable(mailing: MailingOut) -> None:
    """Whether there is anything to pause, or to resume. Raises StateForbids."""
    if mailing.state in _OVER:
        raise StateForbids(f"The mailing is {mailing.state}: there is nothing to pause or to resume.")


def check_retriable(mailing: MailingOut, wanted: Retry, now: datetime) -> None:
    """Raises StateForbids, Invalid."""
    if mailing.state == MailingState.SCHEDULED:
        raise StateForbids("The mailing has not started: there is nothing to retry.")
    if mailing.state == MailingState.CANCELED:
        raise StateForbids("The mailing is canceled: nothing more of it is ever sent.")
    check_times(mailing.starts_at, wanted["expired_at"], now)


def has_any(mailing: MailingOut, statuses: Iterable[MessageStatus]) -> bool:
    """Whether a message of the mailing is in one of these statuses."""
    return any(getattr(mailing.messages_status, status) for status in statuses)


def check_cancelable(mailing: MailingOut) -> None:
    """Raises StateForbids."""
    if mailing.state == MailingState.FINISHED:
        raise StateForbids("The mailing is finished: there is nothing left to cancel.")
