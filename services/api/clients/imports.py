"""Import of clients from CSV, streamed: the file is never held in memory."""

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.clients.csv_rows import Parser
from services.api.clients.schemas import Imported, Rejection
from services.api.edge.copying import in_large_pieces
from shared.database.transactions import transaction
from shared.ledger.audit import Subject, audit
from shared.ledger.clients import encode_staged, merge_staging, open_staging
from shared.ledger.origin import Origin


async def import_clients(engine: AsyncEngine, pieces: AsyncIterator[bytes], origin: Origin) -> Imported:
    """Add the clients whose numbers are new, and change the others; all of the file, or nothing if it breaks off.

    Raises Invalid, DatabaseUnavailable.
    """
    parser = Parser()
    async with transaction(engine) as connection:
        async with open_staging(connection) as copy:
            async for piece in in_large_pieces(pieces):
                # In a thread, so that other requests are answered meanwhile.
                await copy.write(await asyncio.to_thread(lambda: encode_staged(parser.feed(piece))))  # noqa: B023 - awaited
            await copy.write(encode_staged(parser.finish()))
        merged = await merge_staging(connection)
        counts = {"added": merged.added, "changed": merged.changed}
        await audit(connection, origin, Subject("client", after=counts))
    return Imported(
        rows=merged.staged + parser.rejected_count,
        added=merged.added,
        changed=merged.changed,
        unchanged=merged.distinct - merged.added - merged.changed,
        repeated=merged.staged - merged.distinct,
        rejected=parser.rejected_count,
        rejections=[Rejection(line=line, reason=reason) for line, reason in parser.rejected],
    )
