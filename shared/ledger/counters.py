"""Every statement that writes the table `counters`: numbers of messages by status, which always add up.

Messages that get their final status are also counted in the table `progress`, by the time.
"""

from collections import Counter

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.engine import array_of
from shared.database.transactions import after_commit
from shared.ledger.progress import Ending, add_progress
from shared.statuses import FINAL_STATUSES, MessageStatus, Reason, may_follow
from shared.telemetry.metrics import SETTLED

COUNTERS = ("total", *MessageStatus)  # the columns

# The names are ours, not input.
_ADD = text(f"""
    -- add_to_counters --
    WITH locked AS MATERIALIZED (
        SELECT mailing_id FROM counters WHERE mailing_id = ANY(CAST(:mailing_ids AS bigint[]))
        ORDER BY mailing_id FOR UPDATE
    )
    UPDATE counters SET {", ".join(f"{name} = counters.{name} + given.{name}" for name in COUNTERS)}
    FROM locked JOIN unnest(
        CAST(:mailing_ids AS bigint[]), {", ".join(f"CAST(:{name} AS bigint[])" for name in COUNTERS)}
    ) AS given(mailing_id, {", ".join(COUNTERS)}) USING (mailing_id)
    WHERE counters.mailing_id = locked.mailing_id
""")  # noqa: S608


class StatusMoves:
    """Collects how many messages of each mailing change from which status to which, and writes them at once."""

    def __init__(self) -> None:
        self._deltas: dict[int, Counter[str]] = {}
        self._settled: Counter[Ending] = Counter()
        self._retried: Counter[Ending] = Counter()

    def add(
        self,
        mailing_id: int,
        before: MessageStatus | None,
        after: MessageStatus,
        count: int,
        reason: Reason | None = None,
    ) -> None:
        """Add `count` messages that change from one status to another. `before` is None for new messages.

        `reason` is the reason for the final status of the two, if one is final.

        Raises:
            ValueError: `shared.statuses` does not allow this change.
        """
        if not may_follow(before, after):
            raise ValueError(f"a message of mailing {mailing_id} cannot change from {before} to {after}")
        delta = self._deltas.setdefault(mailing_id, Counter())
        delta["total" if before is None else before] += count if before is None else -count
        delta[after] += count
        if after in FINAL_STATUSES:
            self._settled[Ending(mailing_id, after, reason)] += count
        if before in FINAL_STATUSES:
            self._retried[Ending(mailing_id, before, reason)] += count

    async def apply(self, connection: AsyncConnection) -> None:
        """Lock and change the counters by ascending mailing, then their progress. A transaction does this last."""
        deltas = {mailing_id: delta for mailing_id, delta in self._deltas.items() if any(delta.values())}
        if deltas:
            columns = {name: array_of([delta[name] for delta in deltas.values()]) for name in COUNTERS}
            await connection.execute(_ADD, {**columns, "mailing_ids": array_of(deltas)})
        await add_progress(connection, settled=self._settled, retried=self._retried)
        after_commit(connection, self._count)

    def _count(self) -> None:
        for ending, count in self._settled.items():
            SETTLED.labels(ending.status).inc(count)
