"""Reads of messages and of their attempts."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.pages import cut_page
from services.api.edge.refusals import NotFound
from services.api.edge.rows import to_dicts
from services.api.messages.schemas import AttemptOut, HistoryPage, MessageDetail, MessagePage
from shared.contracts import Outcome
from shared.statuses import MessageStatus

# The ledger counts the deliveries that had to be repeated. These statuses are given after one more.
DELIVERIES = "m.tries + CASE WHEN m.status IN ('sent', 'failed', 'uncertain') THEN 1 ELSE 0 END AS tries"

# A message outlives its client. The mailing of a single message is not shown.
_COLUMNS = f"""
    SELECT m.id, CASE WHEN NOT mailings.express THEN m.mailing_id END AS mailing_id,
        nullif(m.client_id, 0) AS client_id, coalesce(mailings.number, client.number) AS number,
        CASE WHEN m.status = 'new' AND job.state = 'released' THEN 'active' ELSE m.status END AS status,
        nullif(m.reason, 'none') AS reason, mailings.started_at AS created_at,
        mailings.test_of, m.settled_at, {DELIVERIES}, m.duration_ms, job.sender
"""
_JOINED = """
    JOIN mailings ON mailings.id = m.mailing_id AND mailings.state <> 'deleted'
    LEFT JOIN jobs job ON job.id = m.job_id
    LEFT JOIN clients client ON client.id = m.client_id
"""
_FROM = "FROM messages m" + _JOINED
_FIND = text("-- find_message --" + _COLUMNS + _FROM + "WHERE m.id = :id")

# The page of messages comes first, and then the rows that belong to it. Otherwise PostgreSQL may merge the
# messages with all clients before the page.
_FIRST = """
    -- page_of_messages --
    WITH page AS MATERIALIZED (
        SELECT * FROM messages m WHERE mailing_id = :mailing_id AND client_id > :after {condition}
        ORDER BY client_id LIMIT :limit
    )
"""
_THEN = _COLUMNS + "FROM page m" + _JOINED + "WHERE NOT mailings.express ORDER BY m.client_id"


def _page_of(condition: str = "") -> TextClause:
    return text(_FIRST.format(condition=condition) + _THEN)


_RELEASED = "(SELECT FROM jobs WHERE id = m.job_id AND state = 'released')"
_PAGE = _page_of()
_PAGE_OF_NEW = _page_of(f"AND status = 'new' AND NOT EXISTS {_RELEASED}")
_PAGE_OF_ACTIVE = _page_of(f"AND status = 'new' AND EXISTS {_RELEASED}")
_PAGE_OF_SENT = _page_of("AND status = 'sent'")
# The index of unsent messages is by reason.
_UNSENT = """
    -- page_of_unsent_messages --
    WITH page AS MATERIALIZED (
        SELECT m.* FROM unnest(CAST(:reasons AS message_reason[])) AS given(reason) CROSS JOIN LATERAL (
            SELECT * FROM messages
            WHERE mailing_id = :mailing_id AND reason = given.reason AND reason <> 'none' AND client_id > :after
              AND status = CAST(:status AS message_status)
            ORDER BY client_id LIMIT :limit
        ) AS m
        ORDER BY client_id LIMIT :limit
    )
"""
_PAGE_OF_UNSENT = text(_UNSENT + _THEN)

_MAILING_EXISTS = text("""
    -- mailing_exists --
    SELECT 1 FROM mailings WHERE id = :id AND NOT express AND state <> 'deleted'
""")

_FIND_ATTEMPTS = text("""
    -- find_attempts --
    SELECT message_id, at, sender, outcome, provider_status, provider_text, duration_ms
    FROM attempts WHERE message_id = ANY(:ids) ORDER BY message_id, at
""")

_FIND_PERSON = text("""
    -- find_person --
    SELECT id, number FROM clients WHERE id = :client_id OR number = :number
""")

_WAS_CLIENT = text("""
    -- was_client --
    SELECT 1 FROM messages WHERE client_id = :client_id LIMIT 1
""")

# All messages of the person come first. Otherwise PostgreSQL may search the newest messages of everybody for those
# of one person.
_PAGE_OF_PERSON = """
    -- history --
    WITH concerned AS MATERIALIZED (
        SELECT id, mailing_id FROM messages WHERE client_id = :client_id
        UNION
        SELECT messages.id, mailing_id FROM mailings JOIN messages ON messages.mailing_id = mailings.id
        WHERE mailings.number = :number
    ), page AS MATERIALIZED (
        SELECT concerned.id FROM concerned JOIN mailings ON mailings.id = mailing_id AND state <> 'deleted'
        WHERE concerned.id < :before
        ORDER BY concerned.id DESC LIMIT :limit
    )
"""
_COLUMNS_OF_MAILING = """,
    mailings.text, mailings.starts_at, mailings.expired_at, mailings.state,
    mailings.paused_at IS NOT NULL AS paused, CASE WHEN m.status = 'new' THEN job.due_at END AS due_at
"""
_IN_PAGE = " WHERE m.id IN (SELECT id FROM page) ORDER BY m.id DESC"
_HISTORY = text(_PAGE_OF_PERSON + _COLUMNS + _COLUMNS_OF_MAILING + _FROM + _IN_PAGE)


async def page(
    connection: AsyncConnection, mailing_id: int, *, status: MessageStatus | None, after: int, limit: int
) -> MessagePage:
    """Return messages of a mailing, by ascending client id, above `after`. Raises NotFound."""
    values = {"mailing_id": mailing_id, "after": after, "limit": limit + 1}
    match status:
        case None:
            query = _PAGE
        case MessageStatus.NEW:
            query = _PAGE_OF_NEW
        case MessageStatus.ACTIVE:
            query = _PAGE_OF_ACTIVE
        case MessageStatus.SENT:
            query = _PAGE_OF_SENT
        case _:
            query = _PAGE_OF_UNSENT.bindparams(status=status, reasons=sorted(status.reasons))
    rows = to_dicts(await connection.execute(query, values))
    if not rows and (await connection.execute(_MAILING_EXISTS, {"id": mailing_id})).one_or_none() is None:
        raise NotFound("mailing", mailing_id)
    return MessagePage.model_validate(cut_page(rows, limit, key="client_id"))


async def find(connection: AsyncConnection, message_id: int) -> MessageDetail:
    """Return a message with its attempts. Raises NotFound."""
    rows = to_dicts(await connection.execute(_FIND, {"id": message_id}))
    if not rows:
        raise NotFound("message", message_id)
    (attempts,) = await _attempts(connection, rows)
    return MessageDetail.model_validate({**rows[0], "attempts": attempts})


async def history(
    connection: AsyncConnection, *, client_id: int | None, number: int | None, before: int, limit: int
) -> HistoryPage:
    """Return messages to a client or to a number whose ids are below `before`, newest first. Raises NotFound.

    A number stands for the client that has it now. The page has the messages to this client and to the number.
    """
    wanted = {"client_id": client_id, "number": number}
    person = (await connection.execute(_FIND_PERSON, wanted)).mappings().one_or_none()
    if person is not None:
        wanted = {"client_id": person["id"], "number": person["number"]}
    elif client_id is not None and (await connection.execute(_WAS_CLIENT, wanted)).one_or_none() is None:
        raise NotFound("client", client_id)
    values = {**wanted, "before": before, "limit": limit + 1}
    rows = to_dicts(await connection.execute(_HISTORY, values))
    attempts = await _attempts(connection, rows[:limit])
    items = [{**row, "attempts": of_row} for row, of_row in zip(rows, attempts, strict=False)]
    return HistoryPage.model_validate({"items": items, "next": items[-1]["id"] if len(rows) > limit else None})


async def _attempts(connection: AsyncConnection, messages: Sequence[Mapping[str, Any]]) -> list[list[AttemptOut]]:
    """Return the attempts of each message, oldest first."""
    rows = to_dicts(await connection.execute(_FIND_ATTEMPTS, {"ids": [message["id"] for message in messages]}))
    kept = defaultdict[int, list[AttemptOut]](list)
    for row in rows:
        kept[row["message_id"]].append(AttemptOut.model_validate(row))
    return [[*kept[message["id"]], *_plain_acceptance(message, kept[message["id"]])] for message in messages]


def _plain_acceptance(message: Mapping[str, Any], attempts: list[AttemptOut]) -> list[AttemptOut]:
    """Return the only attempt of a message that was accepted at once. Its facts are in the message and its job."""
    is_recorded = any(attempt.outcome == Outcome.ACCEPTED for attempt in attempts)
    if is_recorded or message["status"] != MessageStatus.SENT or message["tries"] != 1:
        return []
    attempt = AttemptOut(
        at=message["settled_at"] - timedelta(milliseconds=message["duration_ms"]),
        sender=message["sender"],
        outcome=Outcome.ACCEPTED,
        provider_status=200,  # no other status is an acceptance
        provider_text=None,
        duration_ms=message["duration_ms"],
    )
    return [attempt]
