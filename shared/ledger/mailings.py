"""Statements with which users create and change mailings.

A caller that changes a mailing has locked its row. Statements that stop a mailing return its new revision, which
the caller publishes with `outbox.put_stop`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.origin import Origin
from shared.statuses import MailingState
from shared.stop_list import MailingKind
from shared.windows import Window

_CREATE_MAILING = text("""
    -- create_mailing --
    WITH created AS (
        INSERT INTO mailings (starts_at, expired_at, text, filter, window_from, window_until, rate, name,
            kind, request_id, traceparent)
        VALUES (:starts_at, :expired_at, :text, CAST(:filter AS jsonb), :window_from, :window_until, :rate, :name,
            CAST(:kind AS mailing_kind), :request_id, :traceparent)
        RETURNING id
    )
    INSERT INTO counters (mailing_id) SELECT id FROM created RETURNING mailing_id
""")

_CHANGE_MAILING = text("""
    -- change_mailing --
    UPDATE mailings SET
        starts_at = :starts_at, expired_at = :expired_at, text = :text, filter = CAST(:filter AS jsonb),
        window_from = :window_from, window_until = :window_until, rate = :rate, name = :name,
        kind = CAST(:kind AS mailing_kind)
    WHERE id = :id
""")

_RECALL_MAILING = text("""
    -- recall_mailing --
    UPDATE mailings SET stopped_at = now(), revision = revision + 1 WHERE id = :id RETURNING revision
""")

_PAUSE_MAILING = text("""
    -- pause_mailing --
    UPDATE mailings SET paused_at = now(), stopped_at = now(), revision = revision + 1,
        stop_pending_since = (SELECT now() FROM counters WHERE mailing_id = :id AND active > 0)
    WHERE id = :id RETURNING revision
""")

_RESUME_MAILING = text("""
    -- resume_mailing --
    UPDATE mailings SET paused_at = NULL, stop_pending_since = NULL WHERE id = :id
""")

# The planner sets `finished_at` when no message of a canceled mailing is open, or no row of a deleted one is left.
_END_MAILING = text("""
    -- end_mailing --
    UPDATE mailings SET state = CAST(:state AS mailing_state), paused_at = NULL, finished_at = NULL,
        stopped_at = now(), revision = revision + 1,
        stop_pending_since = (SELECT now() FROM counters WHERE mailing_id = :id AND active > 0)
    WHERE id = :id RETURNING revision
""")

_CONFIRM_STOPS = text("""
    -- confirm_stops --
    UPDATE mailings SET stop_pending_since = NULL
    FROM unnest(CAST(:ids AS bigint[]), CAST(:revisions AS integer[])) AS confirmed(id, revision)
    WHERE mailings.id = confirmed.id AND mailings.revision = confirmed.revision
""")

_REQUEST_RETRY = text("""
    -- request_retry --
    UPDATE mailings SET
        retry_statuses = ARRAY(
            SELECT DISTINCT unnest(coalesce(retry_statuses, '{}') || CAST(:statuses AS text[])) ORDER BY 1
        ),
        retry_ended_by = :now, retried_to = 0, expired_at = :expired_at, stop_pending_since = NULL,
        state = 'running', finished_at = NULL
    WHERE id = :id
""")


@dataclass(frozen=True, slots=True)
class MailingColumns:
    """Columns of a mailing that its user decides."""

    starts_at: datetime
    expired_at: datetime
    text: str
    filter: Mapping[str, list[int] | list[str]]
    window: Window | None
    rate: float | None
    name: str | None
    kind: MailingKind


async def create_mailing(connection: AsyncConnection, columns: MailingColumns, origin: Origin) -> int:
    """Create a mailing with its counters; return its id."""
    values = {**_parameters(columns), "request_id": origin.request_id, "traceparent": origin.traceparent}
    mailing_id: int = (await connection.execute(_CREATE_MAILING, values)).scalar_one()
    return mailing_id


async def change_mailing(connection: AsyncConnection, mailing_id: int, columns: MailingColumns) -> None:
    """Store all columns that the user decides."""
    await connection.execute(_CHANGE_MAILING, {**_parameters(columns), "id": mailing_id})


async def recall_mailing(connection: AsyncConnection, mailing_id: int) -> int:
    """Make the senders return its messages, to be released again under new limits; return the new revision."""
    revision: int = (await connection.execute(_RECALL_MAILING, {"id": mailing_id})).scalar_one()
    return revision


async def pause_mailing(connection: AsyncConnection, mailing_id: int) -> int:
    """Pause the mailing; return the new revision."""
    revision: int = (await connection.execute(_PAUSE_MAILING, {"id": mailing_id})).scalar_one()
    return revision


async def resume_mailing(connection: AsyncConnection, mailing_id: int) -> None:
    """Let the planner release messages of the mailing again."""
    await connection.execute(_RESUME_MAILING, {"id": mailing_id})


async def end_mailing(connection: AsyncConnection, mailing_id: int, state: MailingState) -> int:
    """Cancel or delete the mailing, as the new state says; return the new revision."""
    revision: int = (await connection.execute(_END_MAILING, {"id": mailing_id, "state": state})).scalar_one()
    return revision


async def confirm_stops(connection: AsyncConnection, revisions: Mapping[int, int]) -> None:
    """Note that every living sender knows the stops, given by mailing."""
    ordered = sorted(revisions.items())
    await connection.execute(
        _CONFIRM_STOPS,
        {"ids": [mailing_id for mailing_id, _ in ordered], "revisions": [revision for _, revision in ordered]},
    )


async def request_retry(
    connection: AsyncConnection,
    mailing_id: int,
    statuses: Collection[str],
    expired_at: datetime,
    now: datetime,
) -> None:
    """Let the planner send the messages again that have one of these statuses by now, until a new end."""
    values = {"statuses": list(statuses), "expired_at": expired_at, "now": now, "id": mailing_id}
    await connection.execute(_REQUEST_RETRY, values)


def _parameters(columns: MailingColumns) -> dict[str, object]:
    window = columns.window
    return {
        "starts_at": columns.starts_at,
        "expired_at": columns.expired_at,
        "text": columns.text,
        "filter": orjson.dumps(columns.filter).decode(),
        "window_from": None if window is None else window.start,
        "window_until": None if window is None else window.end,
        "rate": columns.rate,
        "name": columns.name,
        "kind": columns.kind.value,
    }
