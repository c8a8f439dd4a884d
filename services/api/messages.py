"""The messages' SQL. Nothing here writes: messages are the planner's, but for those that `express` makes."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.refusals import NotFound
from services.api.schemas import AttemptOut, HistoryItem, HistoryPage, MessageDetail, MessageOut, MessagePage
from shared.contracts import Outcome
from shared.statuses import MessageStatus

# Clients come and go: messages outlive them. The mailing of a message sent on its own is nobody's business.
_COLUMNS = """
    SELECT m.id, CASE WHEN NOT mailings.express THEN m.mailing_id END AS mailing_id,
        nullif(m.client_id, 0) AS client_id, coalesce(client.number, mailings.number) AS number,
        CASE WHEN m.status = 'new' AND job.state = 'released' THEN 'active' ELSE m.status END AS status,
        m.reason, m.created_at, m.settled_at, m.tries, m.duration_ms, job.sender
"""
_FROM = """
    FROM messages m
    JOIN mailings ON mailings.id = m.mailing_id AND mailings.state <> 'deleted'
    LEFT JOIN jobs job ON job.id = m.job_id
    LEFT JOIN clients client ON client.id = m.client_id
"""
_SELECT = _COLUMNS + _FROM
_FIND = text(_SELECT + "WHERE m.id = :id")

_OF_MAILING = _SELECT + "WHERE m.mailing_id = :mailing_id AND NOT mailings.express AND m.client_id > :after "
_IN_ORDER = " ORDER BY m.client_id LIMIT :limit"
_PAGE = text(_OF_MAILING + _IN_ORDER)
_PAGE_OF_NEW = text(_OF_MAILING + "AND m.status = 'new' AND job.state IS DISTINCT FROM 'released'" + _IN_ORDER)
_PAGE_OF_ACTIVE = text(_OF_MAILING + "AND m.status = 'new' AND job.state = 'released'" + _IN_ORDER)
_PAGE_OF_FINAL = text(_OF_MAILING + "AND m.status = CAST(:status AS message_status)" + _IN_ORDER)

_MAILING_EXISTS = text("SELECT 1 FROM mailings WHERE id = :id AND NOT express AND state <> 'deleted'")

_ATTEMPTS = text("""
    SELECT message_id, at, sender, outcome, provider_status, provider_text, duration_ms
    FROM attempts WHERE message_id = ANY(:ids) ORDER BY message_id, at
""")

_PERSON = text("SELECT id, number FROM clients WHERE id = :client_id OR number = :number")

_WAS_CLIENT = text("SELECT 1 FROM messages WHERE client_id = :client_id LIMIT 1")

# Found first, whatever the page: else the newest messages of all might be gone through for those of one person.
_CONCERNED = """
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
_OF_CONCERNED = " WHERE m.id IN (SELECT id FROM page) ORDER BY m.id DESC"
_HISTORY = text(_CONCERNED + _COLUMNS + _COLUMNS_OF_MAILING + _FROM + _OF_CONCERNED)


async def page(
    connection: AsyncConnection, mailing_id: int, *, status: MessageStatus | None, after: int, limit: int
) -> MessagePage:
    """The messages of a mailing to the clients after an id, by ascending client. Raises NotFound."""
    values = {"mailing_id": mailing_id, "after": after, "limit": limit + 1}
    match status:
        case None:
            query = _PAGE
        case MessageStatus.NEW:
            query = _PAGE_OF_NEW
        case MessageStatus.ACTIVE:
            query = _PAGE_OF_ACTIVE
        case _:
            query = _PAGE_OF_FINAL.bindparams(status=status.value)
    rows = (await connection.execute(query, values)).mappings().all()
    if not rows and (await connection.execute(_MAILING_EXISTS, {"id": mailing_id})).one_or_none() is None:
        raise NotFound("mailing", mailing_id)
    items = [MessageOut.model_validate(dict(row)) for row in rows[:limit]]
    return MessagePage(items=items, next=rows[limit - 1]["client_id"] if len(rows) > limit else None)


async def find(connection: AsyncConnection, message_id: int) -> MessageDetail:
    """A message with its attempts. Raises NotFound."""
    row = (await connection.execute(_FIND, {"id": message_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("message", message_id)
    (attempts,) = await _attempts(connection, [row])
    return MessageDetail.model_validate({**row, "attempts": attempts})


async def history(
    connection: AsyncConnection, *, client_id: int | None, number: int | None, before: int, limit: int
) -> HistoryPage:
    """What concerned a client or a number: its messages with ids below, newest first.

    A number is taken for the client that has it now; to it belongs what was sent to either. Raises NotFound.
    """
    wanted = {"client_id": client_id, "number": number}
    person = (await connection.execute(_PERSON, wanted)).mappings().one_or_none()
    if person is not None:
        wanted = {"client_id": person["id"], "number": person["number"]}
    elif client_id is not None and (await connection.execute(_WAS_CLIENT, wanted)).one_or_none() is None:
        raise NotFound("client", client_id)
    values = {**wanted, "before": before, "limit": limit + 1}
    rows = (await connection.execute(_HISTORY, values)).mappings().all()
    attempts = await _attempts(connection, rows[:limit])
    items = [
        HistoryItem.model_validate({**row, "attempts": made})
        for row, made in zip(rows[:limit], attempts, strict=True)
    ]
    return HistoryPage(items=items, next=items[-1].id if len(rows) > limit else None)


async def _attempts(connection: AsyncConnection, messages: Sequence[RowMapping]) -> list[list[AttemptOut]]:
    """The attempts of each of the messages, oldest first."""
    rows = (await connection.execute(_ATTEMPTS, {"ids": [message["id"] for message in messages]})).mappings()
    kept = defaultdict[int, list[AttemptOut]](list)
    for row in rows:
        kept[row["message_id"]].append(AttemptOut.model_validate(dict(row)))
    return [[*kept[message["id"]], *_plain_acceptance(message, kept[message["id"]])] for message in messages]


def _plain_acceptance(message: RowMapping, attempts: list[AttemptOut]) -> list[AttemptOut]:
    """The one attempt of a message that was accepted at once: its facts stand on the message and its job."""
    told = any(attempt.outcome == Outcome.ACCEPTED for attempt in attempts)
    if told or message["status"] != MessageStatus.SENT or message["tries"]:
        return []
    attempt = AttemptOut(
        at=message["settled_at"] - timedelta(milliseconds=message["duration_ms"]),
        sender=message["sender"],
        outcome=Outcome.ACCEPTED,
        provider_status=200,  # nothing else is taken for an acceptance
        provider_text=None,
        duration_ms=message["duration_ms"],
    )
    return [attempt]
