"""Import of clients: every statement that writes its temporary tables, and those that merge them into `clients`.

The rows are staged first, so a file that breaks off changes nothing. Then they are merged in small transactions,
so nobody waits long for a client's row. The tables end with the connection.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from psycopg import AsyncCopy
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.driver import driver_connection

# The key of the advisory lock: one import is merged at a time, so that two of them are never mixed.
MERGE_LOCK = 7_400_002

_CREATE_STAGING = text("""
    -- create_staging --
    CREATE TEMP TABLE staging (line int, number bigint, tag text, zone text)
""")

_COPY_INTO_STAGING = "-- copy_into_staging --\nCOPY staging FROM STDIN"

_SORT_IN_MEMORY = text("SET LOCAL work_mem = '64MB'")
_INDEX_IN_MEMORY = text("SET LOCAL maintenance_work_mem = '64MB'")

# The last of several rows with one number counts.
_SORT_STAGING = text("""
    -- sort_staging --
    CREATE TEMP TABLE latest AS
        SELECT DISTINCT ON (number) number, tag, zone FROM staging ORDER BY number, line DESC
""")

_INDEX_LATEST = text("CREATE UNIQUE INDEX ON latest (number)")

_COUNT_STAGING = text("""
    -- count_staging --
    SELECT (SELECT count(*) FROM staging) AS staged, (SELECT count(*) FROM latest) AS latest
""")

_WAIT_FOR_TURN = text("""
    -- wait_for_turn --
    SELECT set_config('lock_timeout', '0', true), pg_advisory_lock(:key)
""")

# By ascending number, as every import does, so that a batch and another transaction rarely wait in a circle.
_MERGE_BATCH = text("""
    -- merge_batch --
    WITH batch AS MATERIALIZED (
        SELECT number, tag, zone FROM latest WHERE number > CAST(:after AS bigint) ORDER BY number LIMIT :limit
    ), merged AS (
        INSERT INTO clients (number, tag, zone) SELECT number, tag, zone FROM batch ORDER BY number
        ON CONFLICT (number) DO UPDATE SET tag = excluded.tag, zone = excluded.zone
            WHERE (clients.tag, clients.zone) IS DISTINCT FROM (excluded.tag, excluded.zone)
        RETURNING id, xmax = 0 AS is_new
    )
    SELECT (SELECT coalesce(max(number), CAST(:after AS bigint)) FROM batch) AS last,
        coalesce(array_agg(id ORDER BY id) FILTER (WHERE is_new), '{}') AS added,
        coalesce(array_agg(id ORDER BY id) FILTER (WHERE NOT is_new), '{}') AS changed
    FROM merged
""")

# Characters that have a meaning in COPY's text format.
_ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


@dataclass(frozen=True, slots=True)
class Staged:
    """Number of rows that an import staged, and of distinct clients among them."""

    rows: int
    clients: int


@dataclass(frozen=True, slots=True)
class MergedBatch:
    """Number up to which all is merged, and the ids of the clients that the batch wrote."""

    last: int
    added: list[int]
    changed: list[int]


@asynccontextmanager
async def open_staging(connection: AsyncConnection) -> AsyncIterator[AsyncCopy]:
    """Create the staging table, and open it for rows in the form of `encode_staged`."""
    await connection.execute(_CREATE_STAGING)
    driver = await driver_connection(connection)
    async with driver.cursor() as cursor, cursor.copy(_COPY_INTO_STAGING) as copy:
        yield copy


def encode_staged(clients: Iterable[tuple[int, int, str, str]]) -> bytes:
    """Return clients (line, number, tag, zone) as rows of the staging table in COPY's text format."""
    return "".join(
        [f"{line}\t{number}\t{tag.translate(_ESCAPED)}\t{zone}\n" for line, number, tag, zone in clients]
    ).encode()


async def sort_staging(connection: AsyncConnection) -> Staged:
    """Prepare the staged rows for `merge_batch`."""
    await connection.execute(_SORT_IN_MEMORY)
    await connection.execute(_INDEX_IN_MEMORY)
    await connection.execute(_SORT_STAGING)
    await connection.execute(_INDEX_LATEST)
    row = (await connection.execute(_COUNT_STAGING)).one()
    return Staged(row.staged, row.latest)


async def wait_for_turn(connection: AsyncConnection) -> None:
    """Wait until no other import is merged. The turn lasts as long as the connection."""
    await connection.execute(_WAIT_FOR_TURN, {"key": MERGE_LOCK})


async def merge_batch(connection: AsyncConnection, after: int, limit: int) -> MergedBatch:
    """Add or change up to `limit` clients with numbers above `after`."""
    row = (await connection.execute(_MERGE_BATCH, {"after": after, "limit": limit})).one()
    return MergedBatch(row.last, row.added, row.changed)
