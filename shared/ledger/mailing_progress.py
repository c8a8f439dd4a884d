"""Statements with which a mailing advances: its start, expansion, retries, end and removal.

`mailings` has the statements with which users create and change mailings.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.bulk_messages import Filter
from shared.statuses import MailingState
from shared.windows import Window

# SKIP LOCKED: another planner expands these mailings now. The state is checked again under the lock.
_LOCK_MAILINGS_TO_EXPAND = text("""
    -- lock_mailings_to_expand --
    SELECT id, filter, started_at, audience_until, expanded_to, window_from, window_until, rate, request_id,
        traceparent
    FROM mailings
    WHERE id = ANY(CAST(:mailing_ids AS bigint[])) AND expanded_at IS NULL
      AND (state = 'scheduled' AND starts_at <= :now
           OR state IN ('running', 'canceled') AND started_at IS NOT NULL)
    ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
""")

_START_MAILINGS = text("""
    -- start_mailings --
    UPDATE mailings
    SET state = 'running', started_at = :now, audience_until = (SELECT coalesce(max(id), 0) FROM clients)
    WHERE id = ANY(CAST(:mailing_ids AS bigint[]))
    RETURNING id, audience_until
""")

_RECORD_EXPANSIONS = text("""
    -- record_expansions --
    UPDATE mailings
    SET expanded_to = greatest(mailings.expanded_to, given.expanded_to),
        expanded_at = CASE WHEN given.is_complete THEN CAST(:now AS timestamptz) END
    FROM unnest(
        CAST(:mailing_ids AS bigint[]), CAST(:expanded_tos AS bigint[]), CAST(:are_complete AS boolean[])
    ) AS given(id, expanded_to, is_complete)
    WHERE mailings.id = given.id
""")

# SKIP LOCKED: another planner puts messages of this mailing back now.
_LOCK_MAILING_TO_RETRY = text("""
    -- lock_mailing_to_retry --
    SELECT state, retry_statuses, retry_ended_by, retried_to, window_from, window_until, rate, request_id
    FROM mailings
    WHERE id = :mailing_id AND retry_statuses IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED
""")

_RECORD_RETRY = text("""
    -- record_retry --
    UPDATE mailings
    SET retried_to = :retried_to,
        retry_statuses = CASE WHEN :is_complete THEN NULL ELSE retry_statuses END
    WHERE id = :mailing_id
""")

_FINISH_MAILINGS = text("""
    -- finish_mailings --
    UPDATE mailings SET finished_at = :now,
        state = CASE WHEN state = 'running' THEN 'finished' ELSE state END
    FROM counters
    WHERE counters.mailing_id = mailings.id AND counters.new + counters.active = 0
      AND mailings.finished_at IS NULL AND retry_statuses IS NULL
      AND (state = 'running' AND expanded_at IS NOT NULL
           OR state = 'canceled' AND (started_at IS NULL OR expanded_at IS NOT NULL))
    RETURNING mailings.id, mailings.state, mailings.request_id, to_jsonb(counters) - 'mailing_id' AS counts
""")

# A deleted mailing is kept until no sender can hold a job of it: senders that start ask for its stop until then.
_LOCK_MAILING_TO_PURGE = text("""
    -- lock_mailing_to_purge --
    SELECT mailings.id FROM mailings JOIN counters ON counters.mailing_id = mailings.id
    WHERE state = 'deleted' AND finished_at IS NULL AND new + active = 0 AND stopped_at < :stopped_before
    ORDER BY mailings.id LIMIT 1 FOR UPDATE OF mailings SKIP LOCKED
""")

_DELETE_MAILING = text("""
    -- delete_mailing --
    DELETE FROM mailings WHERE id = :mailing_id
""")


@dataclass(frozen=True, slots=True)
class MailingToExpand:
    """A mailing that this transaction has locked to create its messages.

    The audience is the clients with ids up to `audience_until`. Messages exist for those up to `expanded_to`.
    """

    id: int
    filter: Filter
    started_at: datetime | None
    audience_until: int | None
    expanded_to: int
    window: Window | None
    rate: float | None
    request_id: str | None
    traceparent: str | None


class ExpandedPart(NamedTuple):
    """Highest client id up to which a mailing's audience has messages, and whether that is all of it."""

    mailing_id: int
    expanded_to: int
    is_complete: bool


@dataclass(frozen=True, slots=True)
class MailingToRetry:
    """A mailing that this transaction has locked to send messages again.

    It concerns messages in one of the `statuses` that were settled up to `settled_until`. Messages of clients up
    to `retried_to` are put back already.
    """

    id: int
    state: MailingState
    statuses: Sequence[str]
    settled_until: datetime | None
    retried_to: int
    window: Window | None
    rate: float | None
    request_id: str | None


class FinishedMailing(NamedTuple):
    """A mailing that has just ended, in its final state."""

    id: int
    state: MailingState
    request_id: str | None
    counts: dict[str, int]  # messages in all (`total`), and by status


async def lock_mailings_to_expand(
    connection: AsyncConnection, mailing_ids: Sequence[int], now: datetime
) -> list[MailingToExpand]:
    """Lock those of the mailings that have something to expand, and that no other planner expands."""
    rows = await connection.execute(_LOCK_MAILINGS_TO_EXPAND, {"mailing_ids": list(mailing_ids), "now": now})
    return [
        MailingToExpand(
            id=row.id,
            filter=row.filter,
            started_at=row.started_at,
            audience_until=row.audience_until,
            expanded_to=row.expanded_to,
            window=Window.from_columns(row.window_from, row.window_until),
            rate=row.rate,
            request_id=row.request_id,
            traceparent=row.traceparent,
        )
        for row in rows
    ]


async def start_mailings(connection: AsyncConnection, mailing_ids: Sequence[int], now: datetime) -> dict[int, int]:
    """Fix the audience of locked mailings and start them; return the highest client id of each audience."""
    if not mailing_ids:
        return {}
    rows = await connection.execute(_START_MAILINGS, {"mailing_ids": list(mailing_ids), "now": now})
    return {row.id: row.audience_until for row in rows}


async def record_expansions(
    connection: AsyncConnection, expansions: Sequence[ExpandedPart], now: datetime
) -> None:
    """Note up to which client the audience of each mailing has messages."""
    parameters = {
        "mailing_ids": [expansion.mailing_id for expansion in expansions],
        "expanded_tos": [expansion.expanded_to for expansion in expansions],
        "are_complete": [expansion.is_complete for expansion in expansions],
        "now": now,
    }
    await connection.execute(_RECORD_EXPANSIONS, parameters)


async def lock_mailing_to_retry(connection: AsyncConnection, mailing_id: int) -> MailingToRetry | None:
    """Lock the mailing; None if no retry is requested, or another planner carries it out."""
    row = (await connection.execute(_LOCK_MAILING_TO_RETRY, {"mailing_id": mailing_id})).one_or_none()
    if row is None:
        return None
    return MailingToRetry(
        id=mailing_id,
        state=MailingState(row.state),
        statuses=row.retry_statuses,
        settled_until=row.retry_ended_by,
        retried_to=row.retried_to,
        window=Window.from_columns(row.window_from, row.window_until),
        rate=row.rate,
        request_id=row.request_id,
    )


async def record_retry(
    connection: AsyncConnection, mailing_id: int, retried_to: int, *, is_complete: bool
) -> None:
    """Note that messages are put back for the clients up to this id. A complete retry is no longer requested."""
    parameters = {"mailing_id": mailing_id, "retried_to": retried_to, "is_complete": is_complete}
    await connection.execute(_RECORD_RETRY, parameters)


async def finish_mailings(connection: AsyncConnection, now: datetime) -> list[FinishedMailing]:
    """End every expanded mailing that has no open message and no requested retry."""
    rows = await connection.execute(_FINISH_MAILINGS, {"now": now})
    return [FinishedMailing(row.id, MailingState(row.state), row.request_id, row.counts) for row in rows]


async def lock_mailing_to_purge(connection: AsyncConnection, stopped_before: datetime) -> int | None:
    """Lock one deleted mailing without open messages, and return its id."""
    found = await connection.execute(_LOCK_MAILING_TO_PURGE, {"stopped_before": stopped_before})
    mailing_id: int | None = found.scalar()
    return mailing_id


async def delete_mailing(connection: AsyncConnection, mailing_id: int) -> None:
    """Delete the mailing's own row, and its counters with it."""
    await connection.execute(_DELETE_MAILING, {"mailing_id": mailing_id})
