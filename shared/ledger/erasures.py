"""Every statement that writes the table `erasures`, and the reads with which the planner carries them out.

An erasure removes a person from all tables. The API deletes the client and requests the erasure in the same
transaction. The planner then removes the rows that the person has elsewhere, as soon as no message to the person
can change any more.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

ERASURE_COLUMNS = "id, client_id, requested_at, finished_at, messages"

# The second of two requests for one client finds the erasure of the first one.
_REQUEST_ERASURE = text(f"""
    -- request_erasure --
    INSERT INTO erasures (client_id, number) VALUES (:client_id, :number)
    ON CONFLICT (client_id) WHERE finished_at IS NULL
    DO UPDATE SET number = coalesce(erasures.number, excluded.number)
    RETURNING {ERASURE_COLUMNS}
""")  # noqa: S608 - the names are ours

_OPEN_ERASURES = text("""
    -- open_erasures --
    SELECT id FROM erasures WHERE finished_at IS NULL ORDER BY id LIMIT :limit
""")

# SKIP LOCKED: another planner works on it now.
_LOCK_ERASURE = text("""
    -- lock_erasure --
    SELECT id, client_id, number, requested_at FROM erasures
    WHERE id = :id AND finished_at IS NULL FOR UPDATE SKIP LOCKED
""")

# A single message to the number counts if it is older than the request. A later one has a reason of its own.
# SKIP LOCKED: the others wait for the next round, and not for an expansion.
_LOCK_MAILINGS = text("""
    -- lock_mailings_of_person --
    SELECT id, express FROM mailings
    WHERE id IN (
        SELECT mailing_id FROM messages
        WHERE client_id = :client_id AND status <> 'new' AND settled_at < :settled_before
        UNION
        SELECT messages.mailing_id FROM mailings AS single JOIN messages ON messages.mailing_id = single.id
        WHERE single.number = :number AND single.created_at <= :requested_at
          AND messages.status <> 'new' AND messages.settled_at < :settled_before
    ) AND state <> 'deleted' AND (NOT express OR finished_at IS NOT NULL)
    ORDER BY id LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED
""")

_HAS_MESSAGES = text("""
    -- person_has_messages --
    SELECT EXISTS (SELECT FROM messages WHERE client_id = :client_id)
        OR EXISTS (SELECT FROM mailings WHERE number = :number AND created_at <= :requested_at)
""")

_ADD_ERASED_MESSAGES = text("""
    -- add_erased_messages --
    UPDATE erasures SET messages = messages + :messages WHERE id = :id
""")

_FINISH_ERASURE = text("""
    -- finish_erasure --
    UPDATE erasures SET number = NULL, finished_at = :now WHERE id = :id RETURNING messages
""")


class ErasureRow(NamedTuple):
    """An erasure as it is shown: without the number."""

    id: int
    client_id: int
    requested_at: datetime
    finished_at: datetime | None
    messages: int


@dataclass(frozen=True, slots=True)
class LockedErasure:
    """An open erasure whose row this transaction has locked. `number` is None if the client was deleted before."""

    id: int
    client_id: int
    number: int | None
    requested_at: datetime


class MailingsOfPerson(NamedTuple):
    """Mailings that this transaction has locked, and in which the person has messages with a final status."""

    mailing_ids: list[int]
    single_ids: list[int]  # those of single messages, which are about nobody else


async def request_erasure(connection: AsyncConnection, client_id: int, number: int | None) -> ErasureRow:
    """Request that the planner removes a person, and return the erasure."""
    row = (await connection.execute(_REQUEST_ERASURE, {"client_id": client_id, "number": number})).one()
    return ErasureRow(*row)


async def find_open_erasures(connection: AsyncConnection, limit: int) -> list[int]:
    """Return the ids of erasures that are not finished, the oldest first."""
    return list((await connection.execute(_OPEN_ERASURES, {"limit": limit})).scalars())


async def lock_erasure(connection: AsyncConnection, erasure_id: int) -> LockedErasure | None:
    """Lock an open erasure; None if it is finished, or another planner has locked it."""
    row = (await connection.execute(_LOCK_ERASURE, {"id": erasure_id})).one_or_none()
    return None if row is None else LockedErasure(*row)


async def lock_mailings_of_person(
    connection: AsyncConnection, erasure: LockedErasure, settled_before: datetime, limit: int
) -> MailingsOfPerson:
    """Lock up to `limit` mailings with messages to the person that got their final status before the instant."""
    parameters = {**_person(erasure), "settled_before": settled_before, "limit": limit}
    rows = (await connection.execute(_LOCK_MAILINGS, parameters)).all()
    return MailingsOfPerson([row.id for row in rows if not row.express], [row.id for row in rows if row.express])


async def has_messages(connection: AsyncConnection, erasure: LockedErasure) -> bool:
    """Return True if the ledger still has a message to the person."""
    found: bool = (await connection.execute(_HAS_MESSAGES, _person(erasure))).scalar_one()
    return found


async def add_erased_messages(connection: AsyncConnection, erasure_id: int, messages: int) -> None:
    """Note how many messages this transaction removes."""
    await connection.execute(_ADD_ERASED_MESSAGES, {"id": erasure_id, "messages": messages})


async def finish_erasure(connection: AsyncConnection, erasure_id: int, now: datetime) -> int:
    """End an erasure and forget its number; return how many messages it has removed."""
    messages: int = (await connection.execute(_FINISH_ERASURE, {"id": erasure_id, "now": now})).scalar_one()
    return messages


def _person(erasure: LockedErasure) -> dict[str, object]:
    return {
        "client_id": erasure.client_id,
        "number": erasure.number,
        "requested_at": erasure.requested_at,
    }
