"""Reads of clients."""

from collections.abc import AsyncIterator
from functools import cache
from typing import TypedDict

from psycopg.sql import SQL
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.clients.schemas import ClientOut, ClientPage
from services.api.edge.copying import copy_out, protected_column
from services.api.edge.pages import cut_page
from services.api.edge.refusals import NotFound
from services.api.edge.rows import to_dicts

_FIND = text("""
    -- find_client --
    SELECT id, number, code, tag, zone FROM clients WHERE id = :id
""")

_PAGE = """
    -- page_of_clients --
    SELECT id, number, code, tag, zone FROM clients WHERE id > :after{conditions} ORDER BY id LIMIT :limit
"""

_EXPORT = SQL("""
    -- export_clients --
    SELECT number, {tag}, zone FROM clients ORDER BY id
""").format(tag=protected_column("tag"))


class Conditions(TypedDict):
    """Values that a client must have to be on a page; None for any value."""

    tag: str | None
    code: int | None
    zone: str | None
    number: int | None


async def find(connection: AsyncConnection, client_id: int) -> ClientOut:
    """Return a client. Raises NotFound."""
    row = (await connection.execute(_FIND, {"id": client_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("client", client_id)
    return ClientOut.model_validate(dict(row))


async def page(connection: AsyncConnection, conditions: Conditions, *, after: int, limit: int) -> ClientPage:
    """Return the clients that meet all conditions and whose ids are above `after`, by ascending id."""
    given = {name: value for name, value in conditions.items() if value is not None}
    # One more, to know if there is a next page.
    values = {**given, "after": after, "limit": limit + 1}
    rows = to_dicts(await connection.execute(_page_with(*given), values))
    return ClientPage.model_validate(cut_page(rows, limit))


@cache
def _page_with(*columns: str) -> TextClause:
    conditions = "".join(f" AND {column} = :{column}" for column in columns)
    return text(_PAGE.format(conditions=conditions))


def export(engine: AsyncEngine) -> AsyncIterator[bytes]:
    """Yield the whole directory as CSV, in a form that can be imported."""
    return copy_out(engine, _EXPORT)
