"""Moves between statuses in a mailing's counters: what leaves one status enters another, so the sum stays."""

from collections import Counter

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.transactions import after_commit
from shared.statuses import FINAL_STATUSES, MessageStatus
from shared.telemetry.metrics import SETTLED

_STATUSES = tuple(MessageStatus)

_ADD = text("""
    UPDATE counters SET
        total = total + :total, new = new + :new, active = active + :active, sent = sent + :sent,
        failed = failed + :failed, expired = expired + :expired, canceled = canceled + :canceled,
        uncertain = uncertain + :uncertain
    WHERE mailing_id = :mailing_id
""")


class Moves:
    """Collects, per mailing, how many messages went from which status to which; `apply` writes them down."""

    def __init__(self) -> None:
        self._deltas: dict[int, Counter[str]] = {}
        self._settled: Counter[str] = Counter()

    def add(self, mailing_id: int, before: MessageStatus | None, after: MessageStatus, count: int) -> None:
        """`count` messages of the mailing changed status; `before` None: they have just been created."""
        delta = self._deltas.setdefault(mailing_id, Counter())
        delta["total" if before is None else before] += count if before is None else -count
        delta[after] += count
        if after in FINAL_STATUSES:
            self._settled[after] += count

    async def apply(self, connection: AsyncConnection) -> None:
        """Locks and changes the counters, by ascending mailing; the last thing that a transaction does."""
        for mailing_id, delta in sorted(self._deltas.items()):
            if any(delta.values()):
                values = {name: delta[name] for name in (*_STATUSES, "total")}
                await connection.execute(_ADD, {**values, "mailing_id": mailing_id})
        after_commit(connection, self._count)

    def _count(self) -> None:
        for status, count in self._settled.items():
            SETTLED.labels(status).inc(count)
