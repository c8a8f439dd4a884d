"""Reads of clients."""

from collections.abc import AsyncIterator
from functools import lru_cache

from psycopg.sql import SQL, Identifier, Literal
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.api.clients.csv_rows import ATTRIBUTE
from services.api.clients.schemas import ClientOut, ClientPage, TagPage
from services.api.edge.copying import copy_out, protected_column
from services.api.edge.pages import cut_page
from services.api.edge.refusals import NotFound, StateForbids
from services.api.edge.rows import to_dicts
from shared.database.transactions import transaction
from shared.ledger.audience import Conditions

_FIND = text("""
    -- find_client --
    SELECT id, number, code, tag, zone, attributes, xmin::text AS version FROM clients WHERE id = :id
""")

_PAGE = """
    -- page_of_clients --
    SELECT id, number, code, tag, zone, attributes FROM clients WHERE id > :after{conditions}
    ORDER BY id LIMIT :limit
"""

_ATTRIBUTE_NAMES = text("""
    -- find_attribute_names --
    SELECT DISTINCT name FROM clients CROSS JOIN LATERAL jsonb_object_keys(attributes) AS name
    WHERE attributes <> '{}' ORDER BY name
""")

_EXPORT = SQL("""
    -- export_clients --
    SELECT {columns} FROM (SELECT number, tag, zone, id{attributes} FROM clients) AS clients ORDER BY id
""")
MOST_COLUMNS = 1000  # of attributes in an export; PostgreSQL has room for 1664 in all

_HAS_MESSAGES = text("""
    -- client_has_messages --
    SELECT EXISTS (SELECT FROM messages WHERE client_id = :client_id)
        OR EXISTS (SELECT FROM erasures WHERE client_id = :client_id AND finished_at IS NULL)
""")


# Each tag is one step in the index, however many clients have it.
_TAGS = text("""
    -- tags_of_clients --
    WITH RECURSIVE found AS (
        (SELECT tag FROM clients WHERE tag > :after ORDER BY tag LIMIT 1)
        UNION ALL
        SELECT (SELECT next.tag FROM clients next WHERE next.tag > found.tag ORDER BY next.tag LIMIT 1)
        FROM found WHERE found.tag IS NOT NULL
    )
    SELECT tag FROM found WHERE tag IS NOT NULL LIMIT :limit
""")


async def find(connection: AsyncConnection, client_id: int) -> ClientOut:
    """Return a client. Raises NotFound."""
    row = (await connection.execute(_FIND, {"id": client_id})).mappings().one_or_none()
    if row is None:
        raise NotFound("client", client_id)
    return ClientOut.model_validate(dict(row))


async def tags(connection: AsyncConnection, *, after: str, limit: int) -> TagPage:
    """Return the tags above `after`, each once, in ascending order."""
    rows = to_dicts(await connection.execute(_TAGS, {"after": after, "limit": limit + 1}))
    found = [str(row["tag"]) for row in rows]
    return TagPage(items=found[:limit], next=found[limit - 1] if len(found) > limit else None)


async def page(connection: AsyncConnection, conditions: Conditions, *, after: int, limit: int) -> ClientPage:
    """Return the clients that meet all conditions and whose ids are above `after`, by ascending id."""
    # One more, to know if there is a next page.
    values = {**conditions.parameters, "after": after, "limit": limit + 1}
    rows = to_dicts(await connection.execute(_page_with(*conditions.sql), values))
    return ClientPage.model_validate(cut_page(rows, limit))


async def has_messages(connection: AsyncConnection, client_id: int) -> bool:
    """Return True if there is a message to the client, who may be deleted, or an erasure that is not finished."""
    found: bool = (await connection.execute(_HAS_MESSAGES, {"client_id": client_id})).scalar_one()
    return found


@lru_cache(maxsize=200)
def _page_with(*conditions: str) -> TextClause:
    return text(_PAGE.format(conditions="".join(f" AND {condition}" for condition in conditions)))


async def export(engine: AsyncEngine) -> AsyncIterator[bytes]:
    """Yield the whole directory as CSV, in a form that can be imported. Raises StateForbids."""
    async with transaction(engine) as connection:
        names = list((await connection.execute(_ATTRIBUTE_NAMES)).scalars())
    if len(names) > MOST_COLUMNS:
        raise StateForbids(
            f"The clients have {len(names)} different attributes; a file has room for {MOST_COLUMNS}."
        )
    columns = {name: f"{ATTRIBUTE}{name}" for name in names}
    read = [
        SQL(", attributes ->> {name} AS {column}").format(name=Literal(name), column=Identifier(column))
        for name, column in columns.items()
    ]
    shown = [SQL("number"), protected_column("tag"), SQL("zone"), *map(protected_column, columns.values())]
    query = _EXPORT.format(columns=SQL(", ").join(shown), attributes=SQL("").join(read))
    async for piece in copy_out(engine, query):
        yield piece
