"""Reads of mailings, and the lock that every change of a mailing takes first."""

from collections.abc import AsyncIterator

from psycopg.sql import SQL, Literal
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.edge.copying import copy_out
from services.api.edge.refusals import NotFound
from services.api.mailings.schemas import MailingOut, MailingPage
from services.api.messages.queries import DELIVERIES
from shared.ledger.counters import COUNTERS
from shared.sms_parts import parts

_SELECT_WITH = """
    -- {name} --
    SELECT m.id, m.created_at, m.starts_at, m.expired_at, m.text, m.filter, m.window_from,
        m.window_until, m.rate, m.name, m.kind, m.state, m.paused_at IS NOT NULL AS paused, m.started_at,
        m.finished_at,
        CASE WHEN m.stop_pending_since IS NOT NULL THEN 'pending'
            WHEN m.paused_at IS NOT NULL OR m.state = 'canceled' THEN 'applied' END AS stop,
        {counters}
    FROM mailings m JOIN counters c ON c.mailing_id = m.id
    WHERE NOT m.express AND m.state <> 'deleted'
"""


def _select(name: str) -> str:
    return _SELECT_WITH.format(name=name, counters=", ".join(f"c.{column}" for column in COUNTERS))


_FIND = text(_select("find_mailing") + "AND m.id = :id")
# NO KEY: the expansion, which refers to the row, need not wait.
_LOCK = text(_select("lock_mailing") + "AND m.id = :id FOR NO KEY UPDATE OF m")
_PAGE = text(_select("page_of_mailings") + "AND m.id < :before ORDER BY m.id DESC LIMIT :limit")

_EXPORT_MESSAGES = SQL("""
    SELECT m.id, m.client_id, c.number,
        CASE WHEN m.status = 'new' AND j.state = 'released' THEN 'active' ELSE m.status::text END AS status,
        nullif(m.reason, 'none') AS reason,
        (SELECT started_at FROM mailings WHERE id = {mailing_id}) AS created_at, m.settled_at, {deliveries}
    FROM messages AS m LEFT JOIN jobs AS j ON j.id = m.job_id LEFT JOIN clients AS c ON c.id = m.client_id
    WHERE m.mailing_id = {mailing_id} ORDER BY m.client_id
""")


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


async def page(connection: AsyncConnection, *, before: int, limit: int) -> MailingPage:
    """Return the mailings whose ids are below `before`, newest first."""
    # One more, to know if there is a next page.
    rows = (await connection.execute(_PAGE, {"before": before, "limit": limit + 1})).mappings().all()
    items = [_mailing(row) for row in rows[:limit]]
    return MailingPage(items=items, next=items[-1].id if len(rows) > limit else None)


def export_messages(engine: AsyncEngine, mailing_id: int) -> AsyncIterator[bytes]:
    """Yield all messages of a mailing as CSV."""
    return copy_out(engine, _EXPORT_MESSAGES.format(deliveries=SQL(DELIVERIES), mailing_id=Literal(mailing_id)))


def _mailing(row: RowMapping) -> MailingOut:
    window = {"from": row["window_from"], "until": row["window_until"]}
    return MailingOut.model_validate(
        {
            **row,
            "window": None if row["window_from"] is None else window,
            "parts": parts(row["text"]).count,
            "messages_status": dict(row),
        }
    )
