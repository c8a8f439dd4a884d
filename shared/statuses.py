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
