"""The states of a message, a mailing and a job."""

from enum import StrEnum


class MessageStatus(StrEnum):
    """`active` is never stored: a message is active while its job is released."""

    NEW = "new"
    ACTIVE = "active"
    SENT = "sent"
    FAILED = "failed"
    EXPIRED = "expired"
    CANCELED = "canceled"
    UNCERTAIN = "uncertain"


class Reason(StrEnum):
    """Why a message ended as it did, where its status does not say it all. What is sent needs none.

    In the database, `none` stands for no reason.
    """

    WINDOW = "window"  # expired: its client's local window did not open again before the mailing's end
    ZONE = "zone"  # expired: its client's time zone is not known (any more), so its window could not be either
    END = "end"  # expired: the mailing's end came first, whatever the delay
    CANCEL = "cancel"  # canceled: the mailing was
    CLIENT = "client"  # canceled: the client was deleted
    ANSWER = "answer"  # failed, uncertain: the provider's answer, or what there was of it; see the attempts
    SILENCE = "silence"  # uncertain: a sender had it in hand, and was not heard of again


# Of each status that has some.
REASONS = {
    MessageStatus.FAILED: frozenset({Reason.ANSWER}),
    MessageStatus.EXPIRED: frozenset({Reason.WINDOW, Reason.ZONE, Reason.END}),
    MessageStatus.CANCELED: frozenset({Reason.CANCEL, Reason.CLIENT}),
    MessageStatus.UNCERTAIN: frozenset({Reason.ANSWER, Reason.SILENCE}),
}
FINAL_STATUSES = frozenset(MessageStatus) - {MessageStatus.NEW, MessageStatus.ACTIVE}


class MailingState(StrEnum):
    SCHEDULED = "scheduled"  # its audience is not fixed yet
    RUNNING = "running"  # started: being expanded or sent
    FINISHED = "finished"  # expanded, and every message is in a final state; has `finished_at`
    CANCELED = "canceled"  # what was not released will never be
    DELETED = "deleted"  # gone for the API; the planner removes its rows


class JobState(StrEnum):
    PLANNED = "planned"  # waits for `due_at`
    RELEASED = "released"  # with the senders, until `lease_until`
    DONE = "done"  # nothing of it is open
