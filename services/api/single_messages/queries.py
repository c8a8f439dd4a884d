"""Reads for single messages: the client who gets one."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import NotFound
from services.api.single_messages.schemas import MessageIn
from shared.ledger.single_messages import NO_CLIENT

_FIND_CLIENT_BY_ID = text("""
    -- find_client_by_id --
    SELECT id, number FROM clients WHERE id = :id
""")
_FIND_CLIENT_BY_NUMBER = text("""
    -- find_client_by_number --
    SELECT id FROM clients WHERE number = :number
""")


class Recipient(NamedTuple):
    """Client's id, or NO_CLIENT, and the number that the message goes to."""

    client_id: int
    number: int


async def find_recipient(connection: AsyncConnection, new: MessageIn) -> Recipient:
    """Find the client with the given number, or with the given id. Raises NotFound for an unknown id."""
    if new.number is not None:
        found = await connection.execute(_FIND_CLIENT_BY_NUMBER, {"number": new.number})
        return Recipient(found.scalar() or NO_CLIENT, new.number)
    assert new.client is not None
    row = (await connection.execute(_FIND_CLIENT_BY_ID, {"id": new.client})).one_or_none()
    if row is None:
        raise NotFound("client", new.client)
    return Recipient(row.id, row.number)
