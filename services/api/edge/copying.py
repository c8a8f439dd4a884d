"""PostgreSQL's COPY in pieces, so that no file and no table is ever held in memory.

Transfers use an engine of their own with few connections and long time limits. They take no connection from other
requests.
"""

from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta

from psycopg.sql import SQL, Composable, Identifier
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.edge.spreadsheets import FORMULA
from shared.database.driver import driver_connection
from shared.database.transactions import transaction

STATEMENT_TIMEOUT = timedelta(minutes=30)
PIECE = 256 * 1024  # bytes that are parsed or sent at a time


async def copy_out(engine: AsyncEngine, query: Composable) -> AsyncIterator[bytes]:
    """Yield the rows of a query as CSV with a header."""
    async with transaction(engine) as connection:
        command = SQL("COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)").format(query=query)
        async with (await driver_connection(connection)).cursor().copy(command) as copy:
            async for piece in in_large_pieces(copy):
                yield piece


def protected_column(name: str) -> Composable:
    """Return the SQL of a column for an export that a spreadsheet may open."""
    return SQL("CASE WHEN {column} ~ {formula} THEN '''' || {column} ELSE {column} END AS {column}").format(
        column=Identifier(name), formula=FORMULA
    )


async def in_large_pieces(pieces: AsyncIterable[bytes | bytearray | memoryview]) -> AsyncIterator[bytes]:
    """Yield the same bytes in fewer pieces."""
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)
