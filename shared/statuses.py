"""States of a message, a mailing and a job.

`MessageStatus` is the one list of statuses. The columns and checks of the table `counters`, the metrics, the API's
schemas and the retry all follow from it. A new final status is a line here, its reasons, and a migration (see
`shared.ledger.migrations.recipes`).
"""

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Reason for a final status, where the status alone does not say enough. A sent message has none.

    The database stores `none` for no reason.
    """

    WINDOW = "window"  # expired: the client's local window did not open again before the mailing's end
    ZONE = "zone"  # expired: the client's time zone is not known, so neither is its window
    END = "end"  # expired: the mailing's end came first
    CANCEL = "cancel"  # canceled: the mailing was canceled
    CLIENT = "client"  # canceled: the client was deleted
    STOPPED = "stopped"  # canceled: the number is on the stop list
    ANSWER = "answer"  # failed or uncertain: because of the provider's answer; the attempts show it
    SILENCE = "silence"  # uncertain: a sender held the message and sent no report


class MessageStatus(StrEnum):
    """Status of a message.

    Each member has a `description` for API users and the `reasons` that it may have. `is_final` is False while
    the message may still be sent. `is_retryable` is True if an operator may ask to send such messages again.

    `active` is never stored: a message is active while its job is released.
    """

    description: str
    reasons: frozenset[Reason]
    is_final: bool
    is_retryable: bool

    def __new__(
        cls,
        value: str,
        description: str = "",
        reasons: tuple[Reason, ...] = (),
        is_final: bool = True,
        is_retryable: bool = False,
    ) -> "MessageStatus":
        """Make a member that equals its value, as every StrEnum does."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.description = description
        member.reasons = frozenset(reasons)
        member.is_final = is_final
        member.is_retryable = is_retryable
        return member

    NEW = "new", "Waiting for its time, for its turn, or for its next attempt.", (), False
    ACTIVE = "active", "With a sender.", (), False
    SENT = "sent", "Accepted by the provider."
    FAILED = "failed", "Refused by the provider for good.", (Reason.ANSWER,), True, True
    EXPIRED = "expired", "Not sent in time.", (Reason.WINDOW, Reason.ZONE, Reason.END), True, True
    CANCELED = (
        "canceled",
        "Not sent, because the mailing was canceled, the client deleted or the number stopped.",
        (Reason.CANCEL, Reason.CLIENT, Reason.STOPPED),
    )
    UNCERTAIN = (
        "uncertain",
        "The provider gave no clear answer. It may have sent the message, so it is not asked again.",
        (Reason.ANSWER, Reason.SILENCE),
        True,
        True,
    )


FINAL_STATUSES = frozenset(status for status in MessageStatus if status.is_final)
OPEN_STATUSES = frozenset(MessageStatus) - FINAL_STATUSES
RETRYABLE_STATUSES = tuple(status for status in MessageStatus if status.is_retryable)

# The statuses that may follow each status; None stands for a message that does not exist yet. A final status
# changes only when an operator asks for a retry.
TRANSITIONS: Mapping[MessageStatus | None, frozenset[MessageStatus]] = {
    None: frozenset({MessageStatus.NEW}),
    MessageStatus.NEW: FINAL_STATUSES | {MessageStatus.ACTIVE},
    MessageStatus.ACTIVE: FINAL_STATUSES | {MessageStatus.NEW},
    **{status: frozenset({MessageStatus.NEW}) for status in RETRYABLE_STATUSES},
}


def may_follow(before: MessageStatus | None, after: MessageStatus) -> bool:
    """Return True if a message may change from the status `before` to the status `after`."""
    return after in TRANSITIONS.get(before, frozenset())


class MailingState(StrEnum):
    """State of a mailing."""

    SCHEDULED = "scheduled"  # its audience is not fixed yet
    RUNNING = "running"  # started: being expanded or sent
    FINISHED = "finished"  # expanded, and every message has a final status; `finished_at` is set
    CANCELED = "canceled"  # messages that were not released are never sent
    DELETED = "deleted"  # invisible in the API; the planner removes its rows


class JobState(StrEnum):
    """State of a job."""

    PLANNED = "planned"  # waits for `due_at`
    RELEASED = "released"  # with the senders, until `lease_until`
    DONE = "done"  # has no open message
