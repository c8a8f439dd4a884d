"""Changes of clients."""

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.clients import queries
from services.api.clients.schemas import ClientFields, ClientIn, ClientOut
from services.api.edge.refusals import NotFound, NumberTaken
from shared.ledger.counters import StatusMoves
from shared.statuses import MessageStatus

_CREATE = text("""
    INSERT INTO clients (number, tag, zone) VALUES (:number, :tag, :zone)
    ON CONFLICT (number) DO NOTHING
    RETURNING id, number, code, tag, zone
""")

_CHANGE = text("""
    UPDATE clients SET
        number = coalesce(CAST(:number AS bigint), number),
        tag = coalesce(CAST(:tag AS text), tag),
        zone = coalesce(CAST(:zone AS text), zone)
    WHERE id = :id
    RETURNING id, number, code, tag, zone
""")

_DELETE = text("DELETE FROM clients WHERE id = :id RETURNING id")

_DELETE_IF_SETTLED = text("""
    DELETE FROM clients
    WHERE id = :id AND NOT EXISTS (SELECT FROM messages WHERE client_id = :id AND status = 'new')
    RETURNING id
""")

_LOCK_PLANNED_JOBS = text("""
    SELECT id FROM jobs
    WHERE state = 'planned'
      AND id IN (SELECT job_id FROM messages WHERE client_id = :client_id AND status = 'new')
    ORDER BY id FOR UPDATE
""")

# No other transaction holds one of these rows and waits for us: it would have had to lock the job first.
_CANCEL_MESSAGES = text("""
    UPDATE messages SET status = 'canceled', reason = 'client', settled_at = now()
    WHERE client_id = :client_id AND status = 'new' AND job_id = ANY(:jobs)
    RETURNING mailing_id, job_id
""")

# A mailing has one message for a client, so a job that is concerned loses one.
_TAKE_FROM_JOBS = text("""
    UPDATE jobs SET
        open = open - 1,
        state = CASE WHEN open = 1 THEN 'done' ELSE state END,
        done_at = CASE WHEN open = 1 THEN now() END
    WHERE id = ANY(:jobs)
""")


async def create(connection: AsyncConnection, new: ClientIn) -> ClientOut:
    """Raises NumberTaken."""
    values = {"number": new.number, "tag": new.tag, "zone": new.zone}
    row = (await connection.execute(_CREATE, values)).mappings().one_or_none()
    if row is None:
        raise NumberTaken
    return _client(row)


async def change(connection: AsyncConnection, client_id: int, changes: ClientFields) -> ClientOut:
    """Raises NotFound, NumberTaken."""
    if not changes:
        return await queries.find(connection, client_id)
    values = {"number": None, "tag": None, "zone": None, **changes, "id": client_id}
    try:
        row = (await connection.execute(_CHANGE, values)).mappings().one_or_none()
    except IntegrityError as error:  # the values are of the right form: only the number can be in the way
        raise NumberTaken from error
    if row is None:
        raise NotFound("client", client_id)
    return _client(row)


async def delete_if_settled(connection: AsyncConnection, client_id: int) -> bool:
    """Deletes the client if it has no message that may still be sent, as most; whether it had none and was there.

    One statement, where `delete` takes a transaction of at least four.
    """
    return (await connection.execute(_DELETE_IF_SETTLED, {"id": client_id})).one_or_none() is not None


async def delete(connection: AsyncConnection, client_id: int) -> None:
    """Deletes the client and cancels its messages that no sender has yet. Raises NotFound.

    A message that is with a sender is let go: if it comes back unsent, the planner finds the client gone and
    cancels it. The same holds for one that an expansion under way adds after us.
    """
    if (await connection.execute(_DELETE, {"id": client_id})).one_or_none() is None:
        raise NotFound("client", client_id)
    jobs = (await connection.execute(_LOCK_PLANNED_JOBS, {"client_id": client_id})).scalars().all()
    if jobs:
        await _cancel_messages(connection, client_id, list(jobs))


async def _cancel_messages(connection: AsyncConnection, client_id: int, jobs: list[int]) -> None:
    canceled = await connection.execute(_CANCEL_MESSAGES, {"client_id": client_id, "jobs": jobs})
    moves = StatusMoves()
    concerned = []
    for mailing_id, job_id in canceled.all():
        moves.add(mailing_id, MessageStatus.NEW, MessageStatus.CANCELED, 1)
        concerned.append(job_id)
    await connection.execute(_TAKE_FROM_JOBS, {"jobs": concerned})
    await moves.apply(connection)


def _client(row: RowMapping) -> ClientOut:
    return ClientOut.model_validate(dict(row))
