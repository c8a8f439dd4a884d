"""Meaning of an outcome: the one place that decides what becomes of a message. Pure.

Everything that matters is an argument.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.contracts import Outcome, ReturnReason
from shared.statuses import MailingState, MessageStatus, Reason

# After this many doublings, any backoff has long reached its maximum.
_MAX_DOUBLINGS = 30
# Longer than the margin that senders keep before a deadline, plus the time that a report takes.
_CLOSING = timedelta(seconds=2)
# A message may come back so often in a row without a POST. Then it waits, and longer each time.
FREE_RETURNS = 3
MOST_RETURNS = 1000  # that are counted
_FIRST_PAUSE = timedelta(seconds=0.5)
_LONGEST_PAUSE = timedelta(seconds=30)
# After a stop by a person, or an outage of the provider, sending must go on soon.
_LONGEST_KNOWN_PAUSE = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Policy:
    """Times between tries, and whether a repeated POST can do harm."""

    idempotent: bool  # True if the provider sends one SMS for repeated POSTs of the same id
    backoff_first: timedelta
    backoff_most: timedelta
    redelivery_grace: timedelta
    circuit_pause: timedelta
    lease_margin: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """Facts that matter about an unsettled message, its mailing, and its job."""

    tries: int
    expired_at: datetime
    mailing_state: MailingState
    closes_at: datetime | None = None  # end of the local window's opening that it was released in
    returns: int = 0  # times that it has come back in a row without a POST


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
    returns: int = 0  # times that the message has come back in a row without a POST, this one included
    cause: str = field(default="", compare=False)  # of the return


@dataclass(frozen=True, slots=True)
class WaitStep:
    """The message stays in its job until then, because the sender that had it may still report on it."""

    until: datetime


NextStep = FinalStep | RetryStep | WaitStep


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
            return WaitStep(now + policy.redelivery_grace)
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
    if reported.outcome in {Outcome.DEFERRED, Outcome.UNCERTAIN}:
        wait = max(backoff(message.tries, policy, jitter), timedelta(seconds=reported.retry_after or 0))
        return RetryStep(now + wait, is_failed_try=True)
    if (
        reported.outcome is Outcome.EXPIRED
        and message.closes_at is not None
        and message.closes_at - now < _CLOSING
    ):
        # Senders stop a moment before the window closes. A message returned then waits for the next opening.
        return RetryStep(max(message.closes_at, now), is_failed_try=False, returns=message.returns)
    returns = min(message.returns + 1, MOST_RETURNS)
    wait = pause_after_returns(returns)
    match reported.reason:
        case ReturnReason.REDELIVERED:
            wait = max(wait, policy.redelivery_grace)
        case ReturnReason.CIRCUIT_OPEN:
            # A mailing that fails alone backs off: its sender names the time of its next probe.
            known = max(policy.circuit_pause, timedelta(seconds=reported.retry_after or 0))
            wait = max(known, min(wait, _LONGEST_KNOWN_PAUSE))
        case ReturnReason.STOPPED:
            wait = min(wait, _LONGEST_KNOWN_PAUSE)
    return RetryStep(now + wait, is_failed_try=False, returns=returns, cause=reported.reason or reported.outcome)


def pause_after_returns(returns: int) -> timedelta:
    """Return the wait of a message that has come back so often without a POST. Nothing may go round and round."""
    if returns <= FREE_RETURNS:
        return timedelta(0)
    doubled: timedelta = _FIRST_PAUSE * 2 ** min(returns - FREE_RETURNS - 1, _MAX_DOUBLINGS)
    return min(doubled, _LONGEST_PAUSE)


def due_after_return(returns: int, now: datetime) -> datetime | None:
    """Return when a job is due that has come back so often without a POST; None if it need not wait."""
    pause = pause_after_returns(returns)
    return now + pause if pause else None


def backoff(tries: int, policy: Policy, jitter: float) -> timedelta:
    """Return the wait after `tries` earlier retries. It doubles up to its maximum; jitter adds up to a fifth."""
    doubled: timedelta = policy.backoff_first * 2 ** min(tries, _MAX_DOUBLINGS)
    return min(doubled, policy.backoff_most) * (1 + 0.2 * jitter)
