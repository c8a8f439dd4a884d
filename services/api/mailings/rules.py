"""Rules of what a user may do with a mailing, by its state and times. Pure: no I/O, no clock."""

from collections.abc import Iterable
from datetime import datetime

from services.api.edge.refusals import Invalid, StateForbids
from services.api.mailings.schemas import MailingFields, MailingOut
from shared.statuses import MailingState, MessageStatus

_ENDED = {MailingState.FINISHED, MailingState.CANCELED}


def check_times(starts_at: datetime, expired_at: datetime, now: datetime) -> None:
    """Raise Invalid unless the end comes after the start and is in the future."""
    if expired_at <= starts_at:
        raise Invalid("expired_at", "must be after starts_at")
    check_end(expired_at, now)


def check_end(expired_at: datetime, now: datetime) -> None:
    """Raise Invalid unless the end is in the future."""
    if expired_at <= now:
        raise Invalid("expired_at", "is in the past already")


def find_changes(mailing: MailingOut, wanted: MailingFields, now: datetime) -> dict[str, object]:
    """Return the fields that get other values, with these values; empty if there are none.

    Raises StateForbids, Invalid.
    """
    values: dict[str, object] = {**wanted}
    if "filter" in wanted:
        values["filter"] = wanted["filter"].normalised()
    changes = {name: value for name, value in values.items() if value != getattr(mailing, name)}
    if not changes:
        return {}
    if mailing.state in _ENDED:
        raise StateForbids(f"The mailing is {mailing.state} and cannot be changed.")
    if "filter" in changes and mailing.state != MailingState.SCHEDULED:
        raise StateForbids("The mailing has started: its audience is fixed, and filter cannot be changed.")
    check_times(wanted.get("starts_at", mailing.starts_at), wanted.get("expired_at", mailing.expired_at), now)
    return changes


def narrows(mailing: MailingOut, changes: dict[str, object], now: datetime) -> bool:
    """Return True if senders may hold messages that the new limits forbid to send at the planned time or rate."""
    starts_at, expired_at, rate = (changes.get(name) for name in ("starts_at", "expired_at", "rate"))
    return mailing.state == MailingState.RUNNING and (
        (isinstance(starts_at, datetime) and starts_at > now)
        or (isinstance(expired_at, datetime) and expired_at < mailing.expired_at)
        or "window" in changes
        or (isinstance(rate, float) and (mailing.rate is None or rate < mailing.rate))
    )


def check_pausable(mailing: MailingOut) -> None:
    """Raise StateForbids if there is nothing to pause or to resume."""
    if mailing.state in _ENDED:
        raise StateForbids(f"The mailing is {mailing.state}: there is nothing to pause or to resume.")


def check_cancelable(mailing: MailingOut) -> None:
    """Raise StateForbids if there is nothing to cancel."""
    if mailing.state == MailingState.FINISHED:
        raise StateForbids("The mailing is finished: there is nothing left to cancel.")


def check_retriable(mailing: MailingOut, expired_at: datetime, now: datetime) -> None:
    """Raise StateForbids, or Invalid for the new end, if no message can be sent again."""
    if mailing.state == MailingState.SCHEDULED:
        raise StateForbids("The mailing has not started: there is nothing to retry.")
    if mailing.state == MailingState.CANCELED:
        raise StateForbids("The mailing is canceled: nothing more of it is ever sent.")
    check_times(mailing.starts_at, expired_at, now)


def has_any(mailing: MailingOut, statuses: Iterable[MessageStatus]) -> bool:
    """Return True if a message of the mailing has one of these statuses."""
    return any(getattr(mailing.messages_status, status) for status in statuses)
