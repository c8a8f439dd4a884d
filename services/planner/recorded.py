"""Result of a batch of recorded reports, as the observer gets it. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from services.planner.outcomes import RetryStep
from shared.ledger.messages import SettledMessages


class PlannedAgain(NamedTuple):
    """Messages of one mailing that are tried again. `ids` and `client_ids` are in one order."""

    mailing_id: int
    step: RetryStep
    ids: list[int]
    client_ids: list[int]


@dataclass(frozen=True, slots=True)
class RecordedReports:
    """Messages that a batch of reports settled, and those that are tried again."""

    settled: Sequence[SettledMessages]
    planned_again: Sequence[PlannedAgain]

    @property
    def again(self) -> int:
        """Number of messages that are tried again."""
        return sum(len(group.ids) for group in self.planned_again)

    @property
    def settled_by_status(self) -> Counter[str]:
        """Number of settled messages by status."""
        counts = Counter[str]()
        for messages in self.settled:
            counts[messages.status.value] += messages.messages
        return counts
