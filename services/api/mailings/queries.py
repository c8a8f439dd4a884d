"""Reads of mailings, and the lock that every change of a mailing takes first."""

from collections.abc import AsyncIterator
from functools import cache

from psycopg.sql import SQL, Composable, Literal
from sqlalchemy import RowMapping, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.edge.copying import copy_out
from services.api.edge.refusals import NotFound
from services.api.mailings.limits import LocalWindow
from services.api.mailings.lists import Sort, Wanted, place_of
from services.api.mailings.schemas import MailingOut, MailingPage
from services.api.messages.filters import MessageFilter
from services.api.messages.queries import DELIVERIES
from shared.ledger.counters import COUNTERS
from shared.placeholders import render_plain
from shared.sms_parts import parts
from shared.statuses import MessageStatus
from shared.windows import Window

_SELECT_WITH = """
    -- {name} --
    SELECT m.id, m.created_at, m.starts_at, m.expired_at, m.text, m.has_placeholders, m.filter, m.window_from,
        m.window_until, m.window_days, m.rate, m.name, m.sender_name, m.validity, m.kind, m.max_parts,
        m.cap_messages, m.cap_days, m.no_repeat, m.state,
        m.paused_at IS NOT NULL AS paused, m.started_at, m.finished_at, m.author, m.approved_by,
        m.version,
        CASE WHEN m.stop_pending_since IS NOT NULL THEN 'pending'
            WHEN m.paused_at IS NOT NULL OR m.state = 'canceled' THEN 'applied' END AS stop,
        m.details_removed_at, c.removed, {counters}
    FROM mailings m JOIN counters c ON c.mailing_id = m.id
    WHERE NOT m.express AND m.state <> 'deleted'
"""


def _select(name: str) -> str:
    return _SELECT_WITH.format(name=name, counters=", ".join(f"c.{column}" for column in COUNTERS))


_FIND = text(_select("find_mailing") + "AND m.id = :id")
# NO KEY: the expansion, which refers to the row, need not wait.
_LOCK = text(_select("lock_mailing") + "AND m.id = :id FOR NO KEY UPDATE OF m")
_IS_STOP_PENDING = text("""
    -- is_stop_pending --
    SELECT FROM mailings WHERE id = :id AND stop_pending_since IS NOT NULL
""")

_CONDITIONS = {
    "state": " AND m.state = ANY(CAST(:state AS mailing_state[]))",
    "paused": " AND (m.paused_at IS NOT NULL) = :paused",
    "kind": " AND m.kind = CAST(:kind AS mailing_kind)",
    "words": " AND (m.name ILIKE ANY(CAST(:words AS text[])) OR m.text ILIKE ANY(CAST(:words AS text[]))"
    " OR m.id::text = :whole_words)",
    "starts_from": " AND m.starts_at >= :starts_from",
    "starts_until": " AND m.starts_at < :starts_until",
    "created_from": " AND m.created_at >= :created_from",
    "created_until": " AND m.created_at < :created_until",
}
_SORTS = {
    Sort.NEWEST: (" AND m.id < :after_id", "m.id DESC"),
    Sort.OLDEST: (" AND m.id > :after_id", "m.id"),
    Sort.START: (" AND (m.starts_at, m.id) > (:after_at, :after_id)", "m.starts_at, m.id"),
    Sort.LATEST_START: (" AND (m.starts_at, m.id) < (:after_at, :after_id)", "m.starts_at DESC, m.id DESC"),
    Sort.END: (" AND (m.expired_at, m.id) > (:after_at, :after_id)", "m.expired_at, m.id"),
    Sort.LATEST_END: (" AND (m.expired_at, m.id) < (:after_at, :after_id)", "m.expired_at DESC, m.id DESC"),
}

_EXPORT_MESSAGES = SQL("""
    SELECT m.id, m.client_id, c.number,
        CASE WHEN m.status = 'new' AND j.state = 'released' THEN 'active' ELSE m.status::text END AS status,
        nullif(m.reason, 'none') AS reason,
        (SELECT started_at FROM mailings WHERE id = {mailing_id}) AS created_at, m.settled_at, {deliveries}
    FROM messages AS m LEFT JOIN jobs AS j ON j.id = m.job_id LEFT JOIN clients AS c ON c.id = m.client_id
    WHERE m.mailing_id = {mailing_id} {condition} ORDER BY m.client_id
""")
# The index of unsent messages has those with a reason.
_UNSENT = SQL("AND m.status = {status} AND m.reason <> 'none' AND m.reason = ANY({reasons}::message_reason[])")
_NOT_RELEASED = SQL("AND m.status = 'new' AND j.state IS DISTINCT FROM 'released'")
_RELEASED = SQL("AND m.status = 'new' AND j.state = 'released'")
_SENT = SQL("AND m.status = 'sent'")


async def find(connection: AsyncConnection, mailing_id: int) -> MailingOut:
    """Return a mailing. Raises NotFound."""
    row = (await connection.execute(_FIND, {"id": mailing_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("mailing", mailing_id)
    return _mailing(row)


async def lock(connection: AsyncConnection, mailing_id: int) -> MailingOut:
    """Return a mailing, locked until the end of the transaction. Raises NotFound.

    A change that is decided on what the row holds is still right when it is written.
    """
    row = (await connection.execute(_LOCK, {"id": mailing_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("mailing", mailing_id)
    return _mailing(row)


async def is_stop_pending(connection: AsyncConnection, mailing_id: int) -> bool:
    """Return True if a mailing was stopped, and some living sender has not confirmed it. It may be deleted."""
    return (await connection.execute(_IS_STOP_PENDING, {"id": mailing_id})).first() is not None


async def page(connection: AsyncConnection, wanted: Wanted, *, limit: int) -> MailingPage:
    """Return the mailings that are wanted, in their order."""
    # One more, to know if there is a next page.
    values = {**wanted.conditions, "limit": limit + 1}
    if wanted.after is not None:
        values |= {"after_at": wanted.after.at, "after_id": wanted.after.id}
    statement = _page_with(wanted.sort, wanted.after is not None, *sorted(wanted.conditions.keys() & _CONDITIONS))
    rows = (await connection.execute(statement, values)).mappings().all()
    items = [_mailing(row) for row in rows[:limit]]
    return MailingPage(items=items, next=place_of(items[-1], wanted.sort) if len(rows) > limit else None)


@cache
def _page_with(sort: Sort, has_after: bool, *fields: str) -> TextClause:
    after, order = _SORTS[sort]
    conditions = "".join(condition for field, condition in _CONDITIONS.items() if field in fields)
    where = conditions + (after if has_after else "")
    return text(f"{_select('page_of_mailings')}{where} ORDER BY {order} LIMIT :limit")


def export_messages(engine: AsyncEngine, mailing_id: int, wanted: MessageFilter) -> AsyncIterator[bytes]:
    """Yield messages of a mailing as CSV."""
    query = _EXPORT_MESSAGES.format(
        deliveries=SQL(DELIVERIES), mailing_id=Literal(mailing_id), condition=_condition(wanted)
    )
    return copy_out(engine, query)


def _condition(wanted: MessageFilter) -> Composable:
    match wanted.status:
        case None:
            return SQL("")
        case MessageStatus.NEW:
            return _NOT_RELEASED
        case MessageStatus.ACTIVE:
            return _RELEASED
        case MessageStatus.SENT:
            return _SENT
        case status:
            reasons = [str(reason) for reason in wanted.reasons]
            return _UNSENT.format(status=Literal(str(status)), reasons=Literal(reasons))


def _mailing(row: RowMapping) -> MailingOut:
    window = Window.from_columns(row["window_from"], row["window_until"], row["window_days"])
    cap = {"messages": row["cap_messages"], "days": row["cap_days"]}
    return MailingOut.model_validate(
        {
            **row,
            "window": LocalWindow.of(window),
            "parts": parts(render_plain(row["text"]) if row["has_placeholders"] else row["text"]).count,
            "frequency_cap": None if row["cap_messages"] is None else cap,
            "messages_status": dict(row),
        }
    )
