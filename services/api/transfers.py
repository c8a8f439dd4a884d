"""Bulk: clients in and out as CSV, messages out. Streamed: nothing here holds a file, or a table, in memory.

On connections of its own, few and patient, so that a transfer takes none from the other requests.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator
from datetime import timedelta

from psycopg import AsyncConnection as DriverConnection
from psycopg.sql import SQL, Composable, Literal
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.csv_rows import Parser, Row
from services.api.schemas import Imported, Rejection
from shared.database.transactions import transaction

PATIENCE = timedelta(minutes=30)  # for one statement
PIECE = 256 * 1024  # bytes that are parsed, or sent, at a time
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

_CLIENTS = SQL("SELECT number, tag, zone FROM clients ORDER BY id")

_MESSAGES = SQL("""
    SELECT m.id, m.client_id, c.number,
        CASE WHEN m.status = 'new' AND j.state = 'released' THEN 'active' ELSE m.status::text END AS status,
        nullif(m.reason, 'none') AS reason,
        (SELECT started_at FROM mailings WHERE id = {mailing_id}) AS created_at, m.settled_at, m.tries
    FROM messages AS m LEFT JOIN jobs AS j ON j.id = m.job_id LEFT JOIN clients AS c ON c.id = m.client_id
    WHERE m.mailing_id = {mailing_id} ORDER BY m.client_id
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
    async with (await _driver(connection)).cursor().copy("COPY staging FROM STDIN") as copy:
        async for piece in _large(pieces):
            # In a thread, so that other requests go on meanwhile.
            await copy.write(await asyncio.to_thread(lambda: _encoded(parser.feed(piece))))  # noqa: B023 - awaited
        await copy.write(_encoded(parser.finish()))


async def _large(pieces: AsyncIterable[bytes | bytearray | memoryview]) -> AsyncIterator[bytes]:
    """The same bytes in fewer pieces."""
    gathered = bytearray()
    async for piece in pieces:
        gathered += piece
        if len(gathered) >= PIECE:
            yield bytes(gathered)
            gathered.clear()
    yield bytes(gathered)


def _encoded(rows: list[Row]) -> bytes:
    """Rows in COPY's text format."""
    return "".join(
        [f"{line}\t{number}\t{tag.translate(_ESCAPED)}\t{zone}\n" for line, number, tag, zone in rows]
    ).encode()


def export_clients(engine: AsyncEngine) -> AsyncIterator[bytes]:
    """The whole directory as CSV, in a form that can be imported."""
    return _export(engine, _CLIENTS)


def export_messages(engine: AsyncEngine, mailing_id: int) -> AsyncIterator[bytes]:
    """All messages of a mailing as CSV."""
    return _export(engine, _MESSAGES.format(mailing_id=Literal(mailing_id)))


async def _export(engine: AsyncEngine, query: Composable) -> AsyncIterator[bytes]:
    async with transaction(engine) as connection:
        command = SQL("COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)").format(query=query)
        async with (await _driver(connection)).cursor().copy(command) as copy:
            async for piece in _large(copy):
                yield piece


async def _driver(connection: AsyncConnection) -> DriverConnection[object]:
    """psycopg's own connection: SQLAlchemy knows no COPY."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert isinstance(driver, DriverConnection)
    return driver
