"""What an outcome means: the one place where it is decided what becomes of a message.

Pure: everything that counts is an argument.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import assert_never

from shared.contracts import Outcome, ReturnReason
from shared.statuses import MailingState, MessageStatus, Reason

# Beyond this many doublings any backoff has long reached its most.
_MOST_DOUBLINGS = 30
# More than senders keep to a deadline, and than a report takes.
_CLOSING = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Policy:
    """How often to try again, and whether a repeated POST can do harm."""

    idempotent: bool  # a repeated POST of the same id is one SMS
    backoff_first: timedelta
    backoff_most: timedelta
    redelivery_grace: timedelta
    circuit_pause: timedelta


@dataclass(frozen=True, slots=True)
class OpenMessage:
    """What counts of a message that is not settled, of its mailing, and of its job."""

    tries: int
    expired_at: datetime
    mailing_state: MailingState
    closes_at: datetime | None = None  # the end of the local window's opening that it was released in


@dataclass(frozen=True, slots=True)
class Said:
    """What the sender said of it. `retry_after` is in seconds."""

    outcome: Outcome
    retry_after: float | None = None
    reason: ReturnReason | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """The message's story ends here."""

    status: MessageStatus
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The message goes into a new job. If its mailing has a local window, this begins at its opening."""

    due_at: datetime
    counts: bool  # as a try, which makes the next wait longer


NextStep = Settle | TryAgain


def next_step(message: OpenMessage, said: Said, *, now: datetime, policy: Policy, jitter: float) -> NextStep:
    """What becomes of a message of which the sender said this. `jitter` in [0, 1) spreads the retries.

    The provider's word comes first: what it has accepted is sent, even when the mailing was canceled meanwhile.
    A retry that is due only after the mailing's end is planned all the same: it ends with the mailing, or is
    carried out if the end is moved.
    """
    match said.outcome:
        case Outcome.ACCEPTED:
            return Settle(MessageStatus.SENT)
        case Outcome.REJECTED:
            return Settle(MessageStatus.FAILED, Reason.ANSWER)
        case Outcome.UNCERTAIN if not policy.idempotent:
            return Settle(MessageStatus.UNCERTAIN, Reason.ANSWER)
        case Outcome.RETURNED if said.reason is ReturnReason.REDELIVERED and not policy.idempotent:
            return Settle(MessageStatus.UNCERTAIN, Reason.SILENCE)
    return _closed(message, now) or _again(message, said, now, policy, jitter)


def _closed(message: OpenMessage, now: datetime) -> Settle | None:
    if message.mailing_state in {MailingState.CANCELED, MailingState.DELETED}:
        return Settle(MessageStatus.CANCELED, Reason.CANCEL)
    if now >= message.expired_at:
        return Settle(MessageStatus.EXPIRED, Reason.END)
    return None


def _again(message: OpenMessage, said: Said, now: datetime, policy: Policy, jitter: float) -> TryAgain:
    match said.outcome:
        case Outcome.DEFERRED | Outcome.UNCERTAIN:
            wait = max(backoff(message.tries, policy, jitter), timedelta(seconds=said.retry_after or 0))
            return TryAgain(now + wait, counts=True)
        case Outcome.RETURNED if said.reason is ReturnReason.REDELIVERED:
            return TryAgain(now + policy.redelivery_grace, counts=False)
        case Outcome.RETURNED if said.reason is ReturnReason.CIRCUIT_OPEN:
            return TryAgain(now + policy.circuit_pause, counts=False)
        case Outcome.EXPIRED if message.closes_at is not None:
            # Senders stop a moment before the window closes: what they give back then is not for this opening.
            closing = message.closes_at - now < _CLOSING
            return TryAgain(max(message.closes_at, now) if closing else now, counts=False)
        case Outcome.RETURNED | Outcome.EXPIRED:
            return TryAgain(now, counts=False)
        case Outcome.ACCEPTED | Outcome.REJECTED:
            raise AssertionError("settled above")
        case _:
            assert_never(said.outcome)


def backoff(tries: int, policy: Policy, jitter: float) -> timedelta:
    """The wait after `tries` earlier retries: doubles from the first to the most, and up to a fifth more."""
    doubled: timedelta = policy.backoff_first * 2 ** min(tries, _MOST_DOUBLINGS)
    return min(doubled, policy.backoff_most) * (1 + 0.2 * jitter)
