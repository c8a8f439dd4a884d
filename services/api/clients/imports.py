"""Import of clients from CSV, streamed: the file is never held in memory."""

import asyncio
from collections.abc import AsyncIterator

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.clients.csv_rows import Parser, Row
from services.api.clients.schemas import Imported, Rejection
from services.api.edge.copying import driver_connection, in_large_pieces
from shared.database.transactions import transaction

# What COPY's text format gives a meaning to.
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})

STAGE = text("CREATE TEMP TABLE staging (line int, number bigint, tag text, zone text) ON COMMIT DROP")
_SORT_IN_MEMORY = text("SET LOCAL work_mem = '64MB'")

# Of several rows with one number, the last counts. In the order of numbers, so that two imports never wait for
# each other in a circle.
MERGE = text("""
    WITH latest AS MATERIALIZED (
        SELECT DISTINCT ON (number) number, tag, zone FROM staging ORDER BY number, line DESC
    ), merged AS (
        INSERT INTO clients (number, tag, zone) SELECT number, tag, zone FROM latest ORDER BY number
        ON CONFLICT (number) DO UPDATE SET tag = excluded.tag, zone = excluded.zone
            WHERE (clients.tag, clients.zone) IS DISTINCT FROM (excluded.tag, excluded.zone)
        RETURNING xmax = 0 AS is_new
    )
    SELECT (SELECT count(*) FROM staging) AS staged, (SELECT count(*) FROM latest) AS latest,
        count(*) FILTER (WHERE is_new) AS added, count(*) FILTER (WHERE NOT is_new) AS changed
    FROM merged
""")


async def import_clients(engine: AsyncEngine, pieces: AsyncIterator[bytes]) -> Imported:
    """Adds those that are new, changes those whose number is there; all of the file or, if it breaks off, nothing.

    Raises Invalid, DatabaseUnavailable.
    """
    parser = Parser()
    async with transaction(engine) as connection:
        await connection.execute(STAGE)
        await _stage(connection, parser, pieces)
        await connection.execute(_SORT_IN_MEMORY)
        merged = (await connection.execute(MERGE)).one()
    return Imported(
        rows=merged.staged + parser.rejected_in_all,
        added=merged.added,
        changed=merged.changed,
        unchanged=merged.latest - merged.added - merged.changed,
        repeated=merged.staged - merged.latest,
        rejected=parser.rejected_in_all,
        rejections=[Rejection(line=line, reason=reason) for line, reason in parser.rejected],
    )


async def _stage(connection: AsyncConnection, parser: Parser, pieces: AsyncIterator[bytes]) -> None:
    async with (await driver_connection(connection)).cursor().copy("COPY staging FROM STDIN") as copy:
        async for piece in in_large_pieces(pieces):
            # In a thread, so that other requests go on meanwhile.
            await copy.write(await asyncio.to_thread(lambda: _encoded(parser.feed(piece))))  # noqa: B023 - awaited
        await copy.write(_encoded(parser.finish()))


def _encoded(rows: list[Row]) -> bytes:
    """Rows in COPY's text format."""
    return "".join(
        [f"{line}\t{number}\t{tag.translate(_ESCAPED)}\t{zone}\n" for line, number, tag, zone in rows]
    ).encode()
