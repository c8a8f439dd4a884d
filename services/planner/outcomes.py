"""Meaning of an outcome: the one place that decides what becomes of a message. Pure.

Everything that matters is an argument.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from shared.contracts import Outcome, ReturnReason
from shared.statuses import MailingState, MessageStatus, Reason

# After this many doublings, any backoff has long reached its maximum.
_MAX_DOUBLINGS = 30
# Longer than the margin that senders keep before a deadline, plus the time that a report takes.
_CLOSING = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Policy:
    """Times between tries, and whether a repeated POST can do harm."""

    idempotent: bool  # True if the provider sends one SMS for repeated POSTs of the same id
    backoff_first: timedelta
    backoff_most: timedelta
    redelivery_grace: timedelta
    circuit_pause: timedelta


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """Facts that matter about an unsettled message, its mailing, and its job."""

    tries: int
    expired_at: datetime
    mailing_state: MailingState
    closes_at: datetime | None = None  # end of the local window's opening that it was released in


@dataclass(frozen=True, slots=True)
class ReportedOutcome:
    """Outcome of a message as the sender reported it. `retry_after` is in seconds."""

    outcome: Outcome
    retry_after: float | None = None
    reason: ReturnReason | None = None


@dataclass(frozen=True, slots=True)
class FinalStep:
    """The message gets this final status."""

    status: MessageStatus
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class RetryStep:
    """The message goes into a new job that is due then; if its mailing has a local window, at the next opening."""

    due_at: datetime
    is_failed_try: bool  # makes the next wait longer


NextStep = FinalStep | RetryStep


def next_step(
    message: OpenMessage, reported: ReportedOutcome, *, now: datetime, policy: Policy, jitter: float
) -> NextStep:
    """Decide what becomes of a message with this outcome. `jitter` in [0, 1) spreads the retries.

    The provider's answer comes first: an accepted message is sent, even if the mailing was canceled meanwhile. A
    retry that is due after the mailing's end is planned all the same. It expires with the mailing, unless somebody
    moves the end.
    """
    match reported.outcome:
        case Outcome.ACCEPTED:
            return FinalStep(MessageStatus.SENT)
        case Outcome.REJECTED:
            return FinalStep(MessageStatus.FAILED, Reason.ANSWER)
        case Outcome.UNCERTAIN if not policy.idempotent:
            return FinalStep(MessageStatus.UNCERTAIN, Reason.ANSWER)
        case Outcome.RETURNED if reported.reason is ReturnReason.REDELIVERED and not policy.idempotent:
            return FinalStep(MessageStatus.UNCERTAIN, Reason.SILENCE)
    return _end_with_mailing(message, now) or _retry(message, reported, now, policy, jitter)


def _end_with_mailing(message: OpenMessage, now: datetime) -> FinalStep | None:
    if message.mailing_state in {MailingState.CANCELED, MailingState.DELETED}:
        return FinalStep(MessageStatus.CANCELED, Reason.CANCEL)
    if now >= message.expired_at:
        return FinalStep(MessageStatus.EXPIRED, Reason.END)
    return None


def _retry(
    message: OpenMessage, reported: ReportedOutcome, now: datetime, policy: Policy, jitter: float
) -> RetryStep:
    match reported.outcome:
        case Outcome.DEFERRED | Outcome.UNCERTAIN:
            wait = max(backoff(message.tries, policy, jitter), timedelta(seconds=reported.retry_after or 0))
            return RetryStep(now + wait, is_failed_try=True)
        case Outcome.RETURNED if reported.reason is ReturnReason.REDELIVERED:
            return RetryStep(now + policy.redelivery_grace, is_failed_try=False)
        case Outcome.RETURNED if reported.reason is ReturnReason.CIRCUIT_OPEN:
            # A mailing that fails alone backs off: its sender names the time of its next probe.
            wait = max(policy.circuit_pause, timedelta(seconds=reported.retry_after or 0))
            return RetryStep(now + wait, is_failed_try=False)
        case Outcome.EXPIRED if message.closes_at is not None:
            # Senders stop a moment before the window closes. A message returned then waits for the next opening.
            is_closing = message.closes_at - now < _CLOSING
            return RetryStep(max(message.closes_at, now) if is_closing else now, is_failed_try=False)
        case Outcome.RETURNED | Outcome.EXPIRED:
            return RetryStep(now, is_failed_try=False)
        case Outcome.ACCEPTED | Outcome.REJECTED:
            raise AssertionError("settled above")
        case _:
            assert_never(reported.outcome)


def backoff(tries: int, policy: Policy, jitter: float) -> timedelta:
    """Return the wait after `tries` earlier retries. It doubles up to its maximum; jitter adds up to a fifth."""
    doubled: timedelta = policy.backoff_first * 2 ** min(tries, _MAX_DOUBLINGS)
    return min(doubled, policy.backoff_most) * (1 + 0.2 * jitter)
