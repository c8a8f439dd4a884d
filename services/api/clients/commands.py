"""Changes of clients."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.clients import queries
from services.api.clients.schemas import ClientFields, ClientIn, ClientOut
from services.api.edge.entity_tags import ANY_VERSION, Precondition
from services.api.edge.refusals import ChangedMeanwhile, NotFound, NumberTaken, Refusal
from services.api.erasures.schemas import ErasureOut
from shared.contracts import utc_now
from shared.ledger.audit import Subject, audit, erase_audited_columns
from shared.ledger.clients import (
    ClientRow,
    NewClient,
    change_client,
    create_client,
    delete_client,
    delete_client_without_open_messages,
    erase_client,
)
from shared.ledger.erasures import request_erasure
from shared.ledger.jobs import lock_planned_jobs_of_client
from shared.ledger.messages import cancel_messages_of_client
from shared.ledger.origin import Origin
from shared.ledger.stop_list import delete_stop_of_number


async def create(connection: AsyncConnection, new: ClientIn, origin: Origin) -> ClientOut:
    """Create a client. Raises NumberTaken."""
    row = await create_client(connection, NewClient(new.number, new.tag, new.zone, new.attributes), origin)
    if row is None:
        raise NumberTaken
    return _client(row)


async def change(
    connection: AsyncConnection,
    client_id: int,
    changes: ClientFields,
    origin: Origin,
    precondition: Precondition = ANY_VERSION,
) -> ClientOut:
    """Change the given fields. Raises NotFound, ChangedMeanwhile, NumberTaken."""
    if not changes:
        client = await queries.find(connection, client_id)
        precondition.check("client", client)
        return client
    try:
        row = await change_client(connection, client_id, changes, origin, precondition.tags)
    except IntegrityError as error:  # the values are valid, so another client has the number
        raise NumberTaken from error
    if row is None:
        raise await _refusal(connection, client_id)
    return _client(row)


async def delete_if_settled(
    connection: AsyncConnection, client_id: int, origin: Origin, precondition: Precondition = ANY_VERSION
) -> bool:
    """Delete a client to whom no message may still be sent, as is usual; return False if nothing was deleted.

    This takes one statement. `delete` takes a transaction of at least four.
    """
    return await delete_client_without_open_messages(connection, client_id, origin, precondition.tags)


async def delete(
    connection: AsyncConnection, client_id: int, origin: Origin, precondition: Precondition = ANY_VERSION
) -> None:
    """Delete a client and cancel its messages that no sender has yet. Raises NotFound, ChangedMeanwhile.

    A message that a sender has is not touched: if it comes back unsent, the planner finds that the client is gone,
    and cancels it. The same holds for a message that a running expansion creates after this.
    """
    if not await delete_client(connection, client_id, origin, precondition.tags):
        raise await _refusal(connection, client_id)
    job_ids = await lock_planned_jobs_of_client(connection, client_id)
    if job_ids:
        await cancel_messages_of_client(connection, client_id, job_ids, utc_now())


async def erase(
    connection: AsyncConnection, client_id: int, origin: Origin, precondition: Precondition = ANY_VERSION
) -> ErasureOut:
    """Delete a client, and request that the planner removes the person from all tables.

    A client that was deleted before can be erased, too: its messages may be there still.
    Raises NotFound, ChangedMeanwhile.
    """
    if precondition.tags is not None:
        precondition.check("client", await queries.find(connection, client_id))
    number = await erase_client(connection, client_id, origin)
    if number is None:
        if not await queries.has_messages(connection, client_id):
            raise NotFound("client", client_id)
        await audit(connection, origin, Subject("client", client_id))
    elif (stop_id := await delete_stop_of_number(connection, number)) is not None:
        await erase_audited_columns(connection, "stop", [stop_id])
    job_ids = await lock_planned_jobs_of_client(connection, client_id)
    if job_ids:
        await cancel_messages_of_client(connection, client_id, job_ids, utc_now())
    return ErasureOut.model_validate((await request_erasure(connection, client_id, number))._asdict())


async def _refusal(connection: AsyncConnection, client_id: int) -> Refusal:
    """Return the refusal of a client that has another version. Raises NotFound."""
    client = await queries.find(connection, client_id)
    return ChangedMeanwhile("client", client.entity_tag)


def _client(row: ClientRow) -> ClientOut:
    return ClientOut(**row._asdict())
