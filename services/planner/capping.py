"""Capping: decide at a release which people have got enough, for the mailings that limit it.

The lock of the release makes the decisions one after the other. So of two messages that are released in the same
round, the second one counts the first.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.queries import MessageInJob
from shared.frequency import Cap, EarlierMessage, why_enough
from shared.ledger.jobs import ClaimedJob
from shared.statuses import Reason

# Messages that are with a sender count as sent now. Tests count for nobody.
_EARLIER_MESSAGES = text("""
    -- find_earlier_messages --
    SELECT m.id AS message_id, other.id, coalesce(other.settled_at, :now) AS at,
        theirs.kind = 'marketing' AS is_marketing, theirs.text = mine.text AS is_same_text
    FROM messages AS m JOIN mailings AS mine ON mine.id = m.mailing_id
    JOIN messages AS other ON other.client_id = m.client_id AND other.id <> m.id
    JOIN mailings AS theirs ON theirs.id = other.mailing_id AND theirs.test_of IS NULL
    LEFT JOIN jobs ON other.status = 'new' AND jobs.id = other.job_id
    WHERE m.id = ANY(CAST(:ids AS bigint[])) AND m.client_id > 0
      AND (jobs.state = 'released' OR other.status IN ('sent', 'uncertain') AND other.settled_at > :since)
""")


class Capping:
    """Decisions of one round of release. The messages `undecided` do not count for others yet."""

    def __init__(self, earlier: Mapping[int, Sequence[EarlierMessage]], undecided: Iterable[int]) -> None:
        self._earlier = earlier
        self._undecided = set(undecided)
        self.kept_back: dict[Reason, list[int]] = defaultdict(list)

    def admit(self, cap: Cap | None, messages: Sequence[MessageInJob], now: datetime) -> list[MessageInJob]:
        """Return the messages of a job that go out; note the others."""
        if cap is None:
            return list(messages)
        admitted = []
        for message in messages:
            others = (one for one in self._earlier.get(message.id, ()) if one.id not in self._undecided)
            reason = why_enough(cap, others, now)
            if reason is None:
                admitted.append(message)
                self._undecided.discard(message.id)
            else:
                self.kept_back[reason].append(message.id)
        return admitted


async def begin_capping(
    connection: AsyncConnection,
    jobs: Sequence[ClaimedJob],
    messages: Mapping[int, Sequence[MessageInJob]],
    now: datetime,
) -> Capping:
    """Read what the people of the jobs have got lately. Nothing is read for mailings without a limit."""
    limited = [(job, job.cap) for job in jobs if job.cap is not None]
    if not limited:
        return Capping({}, ())
    ids = [message.id for job, _ in limited for message in messages.get(job.id, ())]
    since = now - max((cap.looks_back for _, cap in limited), default=timedelta(0))
    earlier = defaultdict[int, list[EarlierMessage]](list)
    for row in await connection.execute(_EARLIER_MESSAGES, {"ids": ids, "since": since, "now": now}):
        earlier[row.message_id].append(EarlierMessage(row.id, row.at, row.is_marketing, row.is_same_text))
    return Capping(earlier, ids)
