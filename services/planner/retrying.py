"""Retrying: when an operator asks for it, what failed, expired or stayed uncertain goes into new jobs.

Only that: a message is put back if it is in one of the statuses asked for, and was when it was asked. What was
sent is not among them. Batch by batch of clients, as the expansion; batch and cursor are one transaction.
"""

from datetime import datetime

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.cutting import cut, plans_for
from services.planner.pacing import Limit
from services.planner.planning import window_of
from shared.database.transactions import transaction
from shared.ledger.counters import Moves
from shared.statuses import MessageStatus

log = structlog.get_logger()

_ASKED = text("""
    SELECT id FROM mailings
    WHERE retry_statuses IS NOT NULL AND state <> 'scheduled' AND finished_at IS NULL ORDER BY id
""")

# SKIP LOCKED: another planner has it in hand.
_LOCK = text("""
    SELECT state, retry_statuses, retry_ended_by, retried_to, window_from, window_until, rate, request_id
    FROM mailings
    WHERE id = :id AND retry_statuses IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED
""")

_OWED = """
    SELECT m.id, m.client_id, m.status, CASE WHEN :by_zone THEN coalesce(c.zone, '') ELSE '' END AS zone
    FROM messages AS m LEFT JOIN clients AS c ON c.id = m.client_id
    WHERE m.mailing_id = :mailing_id AND m.client_id > :after
      AND m.status = ANY(CAST(:statuses AS message_status[])) AND m.settled_at <= :ended_by
    ORDER BY m.client_id LIMIT :batch
"""

_ZONES = text(f"SELECT DISTINCT zone FROM ({_OWED}) AS owed WHERE zone <> ''")  # noqa: S608 - both are ours

# `tries` tells that there is a story before.
_PUT_BACK = text(f"""
    WITH {cut(_OWED, order="client_id")}, put_back AS (
        UPDATE messages SET status = 'new', reason = 'none', settled_at = NULL, duration_ms = NULL,
            tries = greatest(tries, 1), job_id = numbered.id
        FROM batch JOIN numbered USING (chunk)
        WHERE messages.id = batch.id
        RETURNING batch.status, messages.client_id
    )
    SELECT status, count(*) AS messages, max(client_id) AS last FROM put_back GROUP BY status
""")  # noqa: S608

_PROGRESS = text("""
    UPDATE mailings
    SET retried_to = :to, retry_statuses = CASE WHEN :complete THEN NULL ELSE retry_statuses END
    WHERE id = :id
""")


async def mailings_asked(engine: AsyncEngine) -> list[int]:
    """The mailings of which something is to be tried again."""
    async with transaction(engine) as connection:
        return list((await connection.execute(_ASKED)).scalars())


async def retry_batch(
    engine: AsyncEngine, mailing_id: int, *, chunk: int, batch: int, now: datetime
) -> int | None:
    """Puts one batch back; returns how many messages that were, or None when there is nothing left to do."""
    async with transaction(engine) as connection:
        mailing = (await connection.execute(_LOCK, {"id": mailing_id})).one_or_none()
        if mailing is None:
            return None
        window = window_of(mailing.window_from, mailing.window_until)
        if mailing.rate is not None:
            chunk = Limit(mailing.rate).chunk(chunk)
        values = {
            "mailing_id": mailing_id,
            "by_zone": window is not None,
            "after": mailing.retried_to,
            "statuses": mailing.retry_statuses if mailing.state == "running" else [],
            "ended_by": mailing.retry_ended_by,
            "chunk": chunk,
            "batch": batch,
            "now": now,
        }
        zones = list((await connection.execute(_ZONES, values)).scalars()) if window else []
        rows = (await connection.execute(_PUT_BACK, values | plans_for(window, zones, now))).all()
        count: int = sum(row.messages for row in rows)
        to = max((row.last for row in rows), default=mailing.retried_to)
        await connection.execute(_PROGRESS, {"id": mailing_id, "to": to, "complete": count < batch})
        moves = Moves()
        for row in rows:
            moves.add(mailing_id, MessageStatus(row.status), MessageStatus.NEW, row.messages)
        await moves.apply(connection)
    log.info("messages_put_back", mailing_id=mailing_id, request_id=mailing.request_id, messages=count)
    return count
