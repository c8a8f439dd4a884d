"""Filter of a mailing's messages by status and reason, for the list and the export."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Query

from services.api.edge.refusals import Invalid
from shared.statuses import MessageStatus, Reason

StatusQuery = Annotated[MessageStatus | None, Query(description="Only messages with this status.")]
ReasonQuery = Annotated[
    Reason | None, Query(description="Only messages with this reason. Give the `status` that has it, too.")
]


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Status and reason that messages must have. None stands for any."""

    status: MessageStatus | None = None
    reason: Reason | None = None

    @classmethod
    def of(cls, status: MessageStatus | None, reason: Reason | None) -> "MessageFilter":
        """Return the filter. Raises Invalid if no message of the status can have the reason."""
        if reason is not None and (status is None or reason not in status.reasons):
            raise Invalid("reason", "needs a status that has this reason")
        return cls(status, reason)

    @property
    def reasons(self) -> list[Reason]:
        """Reasons that the messages may have; none for a status without reasons."""
        return [self.reason] if self.reason else sorted(self.status.reasons) if self.status else []
