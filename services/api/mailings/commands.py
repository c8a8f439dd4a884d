"""Changes of mailings.

Who changes a mailing locks its row first, so that what it decides on still holds when it writes.
"""

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.mailings import queries, rules
from services.api.mailings.limits import LocalWindow
from services.api.mailings.schemas import MailingFields, MailingIn, MailingOut, Retry
from shared.contracts import Event, EventKind, utc_now
from shared.ledger.outbox import put_event, put_stop
from shared.statuses import MailingState
from shared.telemetry import tracing

_CREATE = text("""
    WITH created AS (
        INSERT INTO mailings (starts_at, expired_at, text, filter, window_from, window_until, rate, request_id,
            traceparent)
        VALUES (:starts_at, :expired_at, :text, CAST(:filter AS jsonb), :window_from, :window_until, :rate,
            :request_id, :traceparent)
        RETURNING id
    )
    INSERT INTO counters (mailing_id) SELECT id FROM created RETURNING mailing_id
""")

_CHANGE = text("""
    UPDATE mailings SET
        starts_at = :starts_at, expired_at = :expired_at, text = :text, filter = CAST(:filter AS jsonb),
        window_from = :window_from, window_until = :window_until, rate = :rate
    WHERE id = :id
""")

# The planner plans anew what is past its `send_before`; what comes back from a sender keeps that of its job, so
# it is planned anew, too. By ascending id, as everybody locks jobs. With OR, not IN, each state finds its index.
_REPLAN = text("""
    WITH concerned AS MATERIALIZED (
        SELECT id FROM jobs
        WHERE mailing_id = :id AND (state = 'planned' OR state = 'released') AND zone IS NOT NULL
        ORDER BY id FOR UPDATE
    )
    UPDATE jobs SET due_at = now(), send_before = now() FROM concerned WHERE jobs.id = concerned.id
""")

_RECALL = text("""
    UPDATE mailings SET stopped_at = now(), revision = revision + 1 WHERE id = :id RETURNING revision
""")

_PAUSE = text("""
    UPDATE mailings SET paused_at = now(), stopped_at = now(), revision = revision + 1
    WHERE id = :id RETURNING revision
""")

_RESUME = text("UPDATE mailings SET paused_at = NULL WHERE id = :id")

# The planner puts the messages back: those that ended in these statuses by now.
_RETRY = text("""
    UPDATE mailings SET
        retry_statuses = ARRAY(
            SELECT DISTINCT unnest(coalesce(retry_statuses, '{}') || CAST(:statuses AS text[])) ORDER BY 1
        ),
        retry_ended_by = :now, retried_to = 0, expired_at = :expired_at,
        state = 'running', finished_at = NULL
    WHERE id = :id
""")

# `finished_at` is for the planner to set, when nothing of the mailing is open (canceled) or left (deleted).
_END = text("""
    UPDATE mailings SET state = CAST(:state AS mailing_state), paused_at = NULL, finished_at = NULL,
        stopped_at = now(), revision = revision + 1
    WHERE id = :id RETURNING revision
""")


_FIELDS = ("starts_at", "expired_at", "text", "filter", "window", "rate")  # what a caller decides


async def create(connection: AsyncConnection, new: MailingIn, request_id: str | None) -> MailingOut:
    """Raises Invalid."""
    rules.check_times(new.starts_at, new.expired_at, utc_now())
    fields = {name: getattr(new, name) for name in _FIELDS} | {"filter": new.filter.normalised()}
    values = {**_columns(fields), "request_id": request_id, "traceparent": tracing.current_traceparent()}
    mailing_id: int = (await connection.execute(_CREATE, values)).scalar_one()
    await _tell(connection, EventKind.MAILING_CREATED, mailing_id, request_id)
    return await queries.find(connection, mailing_id)


async def change(
    connection: AsyncConnection, mailing_id: int, wanted: MailingFields, request_id: str | None
) -> MailingOut:
    """Raises NotFound, StateForbids, Invalid."""
    mailing, now = await queries.lock(connection, mailing_id), utc_now()
    changes = rules.what_changes(mailing, wanted, now)
    if not changes:
        return mailing
    fields = {name: getattr(mailing, name) for name in _FIELDS} | changes
    await connection.execute(_CHANGE, {**_columns(fields), "id": mailing_id})
    if "window" in changes:
        await connection.execute(_REPLAN, {"id": mailing_id})
    if rules.narrows(mailing, changes, now):  # what is out comes back, and goes out again within the new limits
        await _recall(connection, mailing_id)
    await _tell(connection, EventKind.MAILING_CHANGED, mailing_id, request_id)
    return await queries.find(connection, mailing_id)


async def pause(connection: AsyncConnection, mailing_id: int, request_id: str | None) -> MailingOut:
    """Raises NotFound, StateForbids."""
    mailing = await queries.lock(connection, mailing_id)
    rules.check_pausable(mailing)
    if mailing.paused:
        return mailing
    revision: int = (await connection.execute(_PAUSE, {"id": mailing_id})).scalar_one()
    await put_stop(connection, mailing_id, revision)
    await _tell(connection, EventKind.MAILING_STOPPED, mailing_id, request_id)
    return await queries.find(connection, mailing_id)


async def resume(connection: AsyncConnection, mailing_id: int, request_id: str | None) -> MailingOut:
    """Raises NotFound, StateForbids."""
    mailing = await queries.lock(connection, mailing_id)
    rules.check_pausable(mailing)
    if not mailing.paused:
        return mailing
    await connection.execute(_RESUME, {"id": mailing_id})
    await _tell(connection, EventKind.MAILING_RESUMED, mailing_id, request_id)
    return await queries.find(connection, mailing_id)


async def cancel(connection: AsyncConnection, mailing_id: int, request_id: str | None) -> MailingOut:
    """Raises NotFound, StateForbids."""
    mailing = await queries.lock(connection, mailing_id)
    rules.check_cancelable(mailing)
    if mailing.state == MailingState.CANCELED:
        return mailing
    await _end(connection, mailing_id, MailingState.CANCELED)
    await _tell(connection, EventKind.MAILING_STOPPED, mailing_id, request_id)
    return await queries.find(connection, mailing_id)


async def retry(connection: AsyncConnection, mailing_id: int, wanted: Retry, request_id: str | None) -> MailingOut:
    """Notes that messages are to be sent after all. Raises NotFound, StateForbids, Invalid."""
    mailing, now = await queries.lock(connection, mailing_id), utc_now()
    rules.check_retriable(mailing, wanted, now)
    if not rules.has_any(mailing, wanted["status"]):
        return mailing
    values = {"statuses": wanted["status"], "expired_at": wanted["expired_at"], "now": now, "id": mailing_id}
    await connection.execute(_RETRY, values)
    if rules.narrows(mailing, {"expired_at": wanted["expired_at"]}, now):
        await _recall(connection, mailing_id)
    await _tell(connection, EventKind.MAILING_CHANGED, mailing_id, request_id)
    return await queries.find(connection, mailing_id)


async def delete(connection: AsyncConnection, mailing_id: int, request_id: str | None) -> None:
    """From now on nobody sees it; the planner removes its rows. Raises NotFound."""
    await queries.lock(connection, mailing_id)
    await _end(connection, mailing_id, MailingState.DELETED)
    await _tell(connection, EventKind.MAILING_DELETED, mailing_id, request_id)


async def _recall(connection: AsyncConnection, mailing_id: int) -> None:
    """What is out comes back, and goes out again with the new times."""
    recalled = await connection.execute(_RECALL, {"id": mailing_id})
    await put_stop(connection, mailing_id, recalled.scalar_one())


async def _end(connection: AsyncConnection, mailing_id: int, state: MailingState) -> None:
    ended = await connection.execute(_END, {"id": mailing_id, "state": state})
    revision: int = ended.scalar_one()
    await put_stop(connection, mailing_id, revision)


async def _tell(connection: AsyncConnection, kind: EventKind, mailing_id: int, request_id: str | None) -> None:
    await put_event(connection, Event(kind=kind, mailing_id=mailing_id, request_id=request_id))


def _columns(fields: dict[str, object]) -> dict[str, object]:
    window = fields["window"]
    assert window is None or isinstance(window, LocalWindow)
    return {
        **{name: value for name, value in fields.items() if name != "window"},
        "filter": orjson.dumps(fields["filter"]).decode(),
        "window_from": None if window is None else window.from_,
        "window_until": None if window is None else window.until,
    }
