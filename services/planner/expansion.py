"""Expansion: at its start, a mailing's filter becomes messages and jobs, batch by batch of clients.

A batch, its cursor and its counters are one transaction that holds the mailing's row, so that a crash resumes
where the last batch ended, replicas take turns, and a cancel never misses a message. The audience are the
clients that exist at the start: `audience_until` is the highest id then.
"""

import time
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.planner.cutting import WITHOUT_NESTED_LOOPS, cut, plans_for
from services.planner.metrics import EXPANDED
from services.planner.pacing import Limit
from services.planner.planning import window_of
from services.planner.spans import trace_expansion
from shared.database.transactions import transaction
from shared.ledger.counters import Moves
from shared.statuses import MessageStatus
from shared.windows import Window

log = structlog.get_logger()

# The first batch is small, so that the first message leaves at once.
FIRST_BATCH_JOBS = 4

# Those that have not begun come first: their first batch is small.
_DUE = text("""
    SELECT id, 1 AS turn FROM mailings WHERE state = 'scheduled' AND starts_at <= :now
    UNION ALL
    SELECT id, 2 AS turn FROM mailings
    WHERE state IN ('running', 'canceled') AND finished_at IS NULL
      AND started_at IS NOT NULL AND expanded_at IS NULL
    ORDER BY turn, id
""")

_NEXT_START = text("SELECT min(starts_at) FROM mailings WHERE state = 'scheduled'")

# SKIP LOCKED: another planner has it in hand. The state is looked at again under the lock.
_LOCK = text("""
    SELECT filter, started_at, audience_until, expanded_to, window_from, window_until, rate, request_id,
        traceparent
    FROM mailings
    WHERE id = :id AND expanded_at IS NULL
      AND (state = 'scheduled' AND starts_at <= :now
           OR state IN ('running', 'canceled') AND started_at IS NOT NULL)
    FOR NO KEY UPDATE SKIP LOCKED
""")

_START = text("""
    UPDATE mailings
    SET state = 'running', started_at = :now, audience_until = (SELECT coalesce(max(id), 0) FROM clients)
    WHERE id = :id
    RETURNING audience_until
""")

_AUDIENCE = """
    SELECT id, {zone} AS zone FROM clients
    WHERE id > :after AND id <= :until {conditions}
    ORDER BY id LIMIT :batch
"""

_ZONES = "SELECT DISTINCT zone FROM ({audience}) AS audience"

_EXPAND = """
    WITH {cut}, written AS (
        INSERT INTO messages (mailing_id, client_id, job_id)
        SELECT :mailing_id, batch.id, numbered.id
        FROM batch JOIN numbered USING (chunk) ORDER BY batch.id
        RETURNING client_id
    )
    SELECT count(*), coalesce(max(client_id), 0) FROM written
"""

_PROGRESS = text("""
    UPDATE mailings
    SET expanded_to = greatest(expanded_to, :to),
        expanded_at = CASE WHEN :complete THEN CAST(:now AS timestamptz) END
    WHERE id = :id
""")

_CONDITIONS = {
    "code": "AND code = ANY(CAST(:code AS smallint[]))",
    "tag": "AND tag = ANY(CAST(:tag AS text[]))",
    "zone": "AND zone = ANY(CAST(:zone AS text[]))",
}


class Progress(NamedTuple):
    """One batch: how many messages it made, and whether it was the last of its mailing."""

    messages: int
    complete: bool


async def due_mailings(engine: AsyncEngine, now: datetime) -> list[int]:
    """The mailings whose time has come and that are not fully expanded."""
    async with transaction(engine) as connection:
        return list((await connection.execute(_DUE, {"now": now})).scalars())


async def until_next_start(engine: AsyncEngine, now: datetime) -> timedelta | None:
    """How long until the next scheduled mailing starts; None when there is none."""
    async with transaction(engine) as connection:
        starts_at: datetime | None = (await connection.execute(_NEXT_START)).scalar()
    return None if starts_at is None else starts_at - now


async def expand_batch(
    engine: AsyncEngine, mailing_id: int, *, chunk: int, batch: int, now: datetime
) -> Progress | None:
    """Expands one batch of the mailing; None when another planner is at it, or nothing is left to do."""
    began = time.time()
    async with transaction(engine) as connection:
        mailing = (await connection.execute(_LOCK, {"id": mailing_id, "now": now})).one_or_none()
        if mailing is None:
            return None
        until: int | None = mailing.audience_until
        if mailing.started_at is None:
            until = (await connection.execute(_START, {"id": mailing_id, "now": now})).scalar_one()
            batch = min(batch, chunk * FIRST_BATCH_JOBS)
        if mailing.rate is not None:
            chunk = Limit(mailing.rate).chunk(chunk)
        made, to = await _expand(
            connection,
            mailing.filter,
            window_of(mailing.window_from, mailing.window_until),
            {"mailing_id": mailing_id, "chunk": chunk, "batch": batch, "now": now}
            | {"after": mailing.expanded_to, "until": until},
            now,
        )
        progress = Progress(made, complete=made < batch)
        await connection.execute(
            _PROGRESS, {"id": mailing_id, "to": to, "complete": progress.complete, "now": now}
        )
        moves = Moves()
        moves.add(mailing_id, None, MessageStatus.NEW, made)
        await moves.apply(connection)
    EXPANDED.inc(progress.messages)
    ids = {"mailing_id": mailing_id, "request_id": mailing.request_id}
    log.debug("batch_expanded", **ids, messages=made)
    trace_expansion(mailing.traceparent, mailing_id, made, began)
    if progress.complete:
        log.info("mailing_expanded", **ids)
    return progress


async def _expand(
    connection: AsyncConnection,
    wanted: dict[str, list[int] | list[str]],
    window: Window | None,
    parameters: dict[str, object],
    now: datetime,
) -> tuple[int, int]:
    fields = sorted(field for field in _CONDITIONS if wanted.get(field))
    audience = _AUDIENCE.format(
        zone="zone" if window else "''", conditions=" ".join(_CONDITIONS[field] for field in fields)
    )
    values = parameters | {field: wanted[field] for field in fields}
    zones: list[str] = []
    if window:
        zones = list((await connection.execute(text(_ZONES.format(audience=audience)), values)).scalars())
    await connection.execute(WITHOUT_NESTED_LOOPS)
    statement = text(_EXPAND.format(cut=cut(audience, order="id")))
    made, to = (await connection.execute(statement, values | plans_for(window, zones, now))).one()
    return made, to
