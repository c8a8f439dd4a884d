"""Changes of clients."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.clients import queries
from services.api.clients.schemas import ClientFields, ClientIn, ClientOut
from services.api.edge.refusals import NotFound, NumberTaken
from shared.contracts import utc_now
from shared.ledger.clients import (
    ClientRow,
    NewClient,
    change_client,
    create_client,
    delete_client,
    delete_client_without_open_messages,
)
from shared.ledger.jobs import lock_planned_jobs_of_client
from shared.ledger.messages import cancel_messages_of_client
from shared.ledger.origin import Origin


async def create(connection: AsyncConnection, new: ClientIn, origin: Origin) -> ClientOut:
    """Create a client. Raises NumberTaken."""
    row = await create_client(connection, NewClient(new.number, new.tag, new.zone), origin)
    if row is None:
        raise NumberTaken
    return _client(row)


async def change(connection: AsyncConnection, client_id: int, changes: ClientFields, origin: Origin) -> ClientOut:
    """Change the given fields. Raises NotFound, NumberTaken."""
    if not changes:
        return await queries.find(connection, client_id)
    try:
        row = await change_client(connection, client_id, origin, **changes)
    except IntegrityError as error:  # the values are valid, so another client has the number
        raise NumberTaken from error
    if row is None:
        raise NotFound("client", client_id)
    return _client(row)


async def delete_if_settled(connection: AsyncConnection, client_id: int, origin: Origin) -> bool:
    """Delete a client to whom no message may still be sent, as is usual; return False if nothing was deleted.

    This takes one statement. `delete` takes a transaction of at least four.
    """
    return await delete_client_without_open_messages(connection, client_id, origin)


async def delete(connection: AsyncConnection, client_id: int, origin: Origin) -> None:
    """Delete a client and cancel its messages that no sender has yet. Raises NotFound.

    A message that a sender has is not touched: if it comes back unsent, the planner finds that the client is gone,
    and cancels it. The same holds for a message that a running expansion creates after this.
    """
    if not await delete_client(connection, client_id, origin):
        raise NotFound("client", client_id)
    job_ids = await lock_planned_jobs_of_client(connection, client_id)
    if job_ids:
        await cancel_messages_of_client(connection, client_id, job_ids, utc_now())


def _client(row: ClientRow) -> ClientOut:
    return ClientOut(**row._asdict())
