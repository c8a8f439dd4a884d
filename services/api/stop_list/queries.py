"""Reads of the stop list."""

from collections.abc import AsyncIterator

from psycopg.sql import SQL
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.edge.copying import copy_out, protected_column
from services.api.edge.pages import cut_page
from services.api.edge.refusals import NotFound
from services.api.edge.rows import to_dicts
from services.api.stop_list.schemas import StopOut, StopPage
from shared.ledger.stop_list import STOP_COLUMNS

_FIND = text(f"""
    -- find_stop --
    SELECT {STOP_COLUMNS} FROM stops WHERE id = :id
""")  # noqa: S608 - the names are ours

_PAGE = text(f"""
    -- page_of_stops --
    SELECT {STOP_COLUMNS} FROM stops
    WHERE id < :before AND (CAST(:number AS bigint) IS NULL OR number = :number) ORDER BY id DESC LIMIT :limit
""")  # noqa: S608 - the names are ours

_EXPORT = SQL("""
    -- export_stops --
    SELECT number, scope, {source}, {note} FROM stops ORDER BY id
""").format(source=protected_column("source"), note=protected_column("note"))


async def find(connection: AsyncConnection, stop_id: int) -> StopOut:
    """Return an entry. Raises NotFound."""
    row = (await connection.execute(_FIND, {"id": stop_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("entry", stop_id)
    return StopOut.model_validate(dict(row))


async def page(connection: AsyncConnection, *, number: int | None, before: int, limit: int) -> StopPage:
    """Return entries whose ids are below `before`, newest first; only that of the number, if one is given."""
    values = {"number": number, "before": before, "limit": limit + 1}
    return StopPage.model_validate(cut_page(to_dicts(await connection.execute(_PAGE, values)), limit))


def export(engine: AsyncEngine) -> AsyncIterator[bytes]:
    """Yield the stop list as CSV, in a form that can be imported."""
    return copy_out(engine, _EXPORT)
