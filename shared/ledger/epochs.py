"""Every statement that writes the table `epochs`: each restore of the ledger from a backup begins an epoch.

A restored ledger is older than the jobs and reports in RabbitMQ, and would use ids again that the provider knows.
So jobs and reports carry the epoch in which they were released. What belongs to another epoch is refused. With a
new epoch, all ids go on far beyond those that may have been used.
"""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.outbox import put_epoch

NEVER = 0  # the epoch of a ledger that was never restored

_FIND_EPOCH = text("""
    -- find_epoch --
    SELECT (SELECT coalesce(max(epoch), 0) FROM epochs) AS number, last_value AS newest_job FROM jobs_id_seq
""")

_LOCK_EPOCHS = text("""
    -- lock_epochs --
    LOCK TABLE epochs IN EXCLUSIVE MODE
""")

# An epoch is a time, so that one that begins after a second restore of the same backup is another one.
_BEGIN_EPOCH = text("""
    -- begin_epoch --
    INSERT INTO epochs (epoch, began_at, reason)
    SELECT greatest(coalesce(max(epoch), 0) + 1, :milliseconds), :now, :reason FROM epochs
    RETURNING epoch
""")

_MOVE_IDS = text("""
    -- move_ids --
    SELECT setval(pg_get_serial_sequence(name, 'id'), nextval(pg_get_serial_sequence(name, 'id')) + 1000000000)
    FROM unnest(ARRAY['clients', 'mailings', 'jobs', 'messages']) AS name
""")


class Epoch(NamedTuple):
    """Present epoch, and the highest id that a job has got so far."""

    number: int
    newest_job: int


async def find_epoch(connection: AsyncConnection) -> Epoch:
    """Return the present epoch."""
    row = (await connection.execute(_FIND_EPOCH)).one()
    return Epoch(row.number, row.newest_job)


async def begin_epoch(
    connection: AsyncConnection, now: datetime, reason: str, *, instead_of: int | None = None
) -> int:
    """Begin a new epoch, let the senders know, and return it.

    `instead_of` is the epoch that is over. If another one has begun meanwhile, that one stays.
    """
    await connection.execute(_LOCK_EPOCHS)
    present = (await find_epoch(connection)).number
    if instead_of is not None and present != instead_of:
        return present
    parameters = {"milliseconds": int(now.timestamp() * 1000), "now": now, "reason": reason}
    epoch: int = (await connection.execute(_BEGIN_EPOCH, parameters)).scalar_one()
    await connection.execute(_MOVE_IDS)
    await put_epoch(connection, epoch)
    return epoch
