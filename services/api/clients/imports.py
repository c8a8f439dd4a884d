"""Import of clients from CSV, streamed: the file is never held in memory.

The file is staged in a temporary table first. An upload that breaks off therefore changes nothing. Then its
clients are merged in small transactions, so that nobody waits long for one of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.clients.csv_rows import Defaults, Parser
from services.api.edge import observer
from services.api.edge.copying import in_large_pieces
from services.api.edge.imports import Imported, Rejection
from shared.database.transactions import dedicated_connection, transaction_on
from shared.errors import TransactionConflict
from shared.ledger.audit import Subject, audit
from shared.ledger.client_imports import (
    MergedBatch,
    Staged,
    encode_staged,
    merge_batch,
    open_staging,
    sort_staging,
    wait_for_turn,
)
from shared.ledger.origin import Origin

BATCH = 2_000  # clients in a transaction: 30 ms, for which a change of one of them waits
_TRIES = 3


async def import_clients(
    engine: AsyncEngine, pieces: AsyncIterator[bytes], origin: Origin, defaults: Defaults
) -> Imported:
    """Add the clients whose numbers are new, and change the others; nothing if the file breaks off.

    Raises Invalid, DatabaseUnavailable. If PostgreSQL fails during the merge, a part of the clients is merged.
    """
    parser = Parser(defaults)
    async with dedicated_connection(engine) as connection:
        staged = await _stage(connection, parser, pieces)
        added, changed = await _Merge(connection, staged, origin).run()
    return Imported(
        rows=staged.rows + parser.rejected_count,
        added=added,
        changed=changed,
        unchanged=staged.clients - added - changed,
        repeated=staged.rows - staged.clients,
        rejected=parser.rejected_count,
        rejections=[Rejection(line=line, reason=reason) for line, reason in parser.rejected],
    )


async def _stage(connection: AsyncConnection, parser: Parser, pieces: AsyncIterator[bytes]) -> Staged:
    async with transaction_on(connection):
        async with open_staging(connection) as copy:
            async for piece in in_large_pieces(pieces):
                # In a thread, so that other requests are answered meanwhile.
                await copy.write(await asyncio.to_thread(lambda: encode_staged(parser.feed(piece))))  # noqa: B023 - awaited
            await copy.write(encode_staged(parser.finish()))
        return await sort_staging(connection)


class _Merge:
    """The merge of the staged clients, batch by batch, with an entry in the audit at its beginning and its end."""

    def __init__(self, connection: AsyncConnection, staged: Staged, origin: Origin) -> None:
        self._connection = connection
        self._staged = staged
        self._origin = origin
        self._last_number = self._done = 0
        self._added = self._changed = 0

    async def run(self) -> tuple[int, int]:
        """Return the number of added and of changed clients."""
        async with transaction_on(self._connection):
            await wait_for_turn(self._connection)
        while True:
            batch = await self._next_batch()
            self._last_number, self._done = batch.last, self._done + BATCH
            self._added += len(batch.added)
            self._changed += len(batch.changed)
            observer.clients_imported(batch.added, batch.changed)
            if self._done >= self._staged.clients:
                return self._added, self._changed

    async def _next_batch(self) -> MergedBatch:
        for _ in range(_TRIES - 1):
            with suppress(TransactionConflict):
                return await self._merge_batch()
        return await self._merge_batch()

    async def _merge_batch(self) -> MergedBatch:
        async with transaction_on(self._connection):
            batch = await merge_batch(self._connection, self._last_number, BATCH)
            if self._done + BATCH >= self._staged.clients:
                await self._audit(added=self._added + len(batch.added), changed=self._changed + len(batch.changed))
            elif self._done == 0:
                await self._audit(begun_with=self._staged.clients)
        return batch

    async def _audit(self, **counts: int) -> None:
        await audit(self._connection, self._origin, Subject("client", after=counts))
