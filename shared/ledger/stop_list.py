"""Every statement that writes the table `stops`: numbers that must not be written to."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.engine import array_of
from shared.stop_list import StopScope

STOP_COLUMNS = "id, number, scope, since, source, note"

_CREATE_STOP = text(f"""
    -- create_stop --
    INSERT INTO stops (number, scope, source, note)
    VALUES (:number, CAST(:scope AS stop_scope), :source, :note)
    ON CONFLICT (number) DO NOTHING RETURNING {STOP_COLUMNS}
""")  # noqa: S608 - the names are ours

_CHANGE_STOP = text(f"""
    -- change_stop --
    UPDATE stops SET scope = coalesce(CAST(:scope AS stop_scope), scope), source = coalesce(:source, source),
        note = coalesce(:note, note)
    WHERE id = :id RETURNING {STOP_COLUMNS}
""")  # noqa: S608 - the names are ours

_DELETE_STOP = text(f"""
    -- delete_stop --
    DELETE FROM stops WHERE id = :id RETURNING {STOP_COLUMNS}
""")  # noqa: S608 - the names are ours

# `xmax` is 0 in a row that this statement has inserted.
_MERGE_STOPS = text("""
    -- merge_stops --
    WITH given AS (
        SELECT DISTINCT ON (number) number, scope, source, note FROM unnest(
            CAST(:numbers AS bigint[]), CAST(:scopes AS stop_scope[]), CAST(:sources AS text[]),
            CAST(:notes AS text[])
        ) WITH ORDINALITY AS given(number, scope, source, note, line)
        ORDER BY number, line DESC
    ), merged AS (
        INSERT INTO stops (number, scope, source, note) SELECT number, scope, source, note FROM given
        ON CONFLICT (number) DO UPDATE SET scope = excluded.scope, source = excluded.source, note = excluded.note
        WHERE (stops.scope, stops.source, stops.note)
            IS DISTINCT FROM (excluded.scope, excluded.source, excluded.note)
        RETURNING xmax = 0 AS is_new
    )
    SELECT (SELECT count(*) FROM given) AS distinct, count(*) FILTER (WHERE is_new) AS added,
        count(*) FILTER (WHERE NOT is_new) AS changed
    FROM merged
""")


class NewStop(NamedTuple):
    """Columns of an entry to add."""

    number: int
    scope: StopScope
    source: str
    note: str


class StopRow(NamedTuple):
    """An entry as the table has it."""

    id: int
    number: int
    scope: StopScope
    since: datetime
    source: str
    note: str


class MergedStops(NamedTuple):
    """Numbers of an import: different numbers, and those of them that were added or changed."""

    distinct: int
    added: int
    changed: int


async def create_stop(connection: AsyncConnection, new: NewStop) -> StopRow | None:
    """Add an entry and return it; None if the number has one."""
    row = (await connection.execute(_CREATE_STOP, {**new._asdict(), "scope": new.scope.value})).one_or_none()
    return None if row is None else StopRow(*row)


async def change_stop(
    connection: AsyncConnection, stop_id: int, *, scope: StopScope | None, source: str | None, note: str | None
) -> StopRow | None:
    """Change the columns that are not None, and return the entry; None if there is none with this id."""
    values = {"id": stop_id, "scope": scope and scope.value, "source": source, "note": note}
    row = (await connection.execute(_CHANGE_STOP, values)).one_or_none()
    return None if row is None else StopRow(*row)


async def delete_stop(connection: AsyncConnection, stop_id: int) -> StopRow | None:
    """Delete an entry and return it as it was; None if there is none with this id."""
    row = (await connection.execute(_DELETE_STOP, {"id": stop_id})).one_or_none()
    return None if row is None else StopRow(*row)


async def merge_stops(connection: AsyncConnection, rows: Sequence[NewStop]) -> MergedStops:
    """Add the numbers that are new, and change the others. Of two rows with one number, the later one counts."""
    if not rows:
        return MergedStops(0, 0, 0)
    numbers, scopes, sources, notes = zip(*rows, strict=True)
    merged = await connection.execute(
        _MERGE_STOPS,
        {
            "numbers": array_of(numbers),
            "scopes": [scope.value for scope in scopes],
            "sources": list(sources),
            "notes": list(notes),
        },
    )
    return MergedStops(*merged.one())
