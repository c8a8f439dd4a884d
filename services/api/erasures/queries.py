"""Reads of erasures."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.pages import cut_page
from services.api.edge.refusals import NotFound
from services.api.edge.rows import to_dicts
from services.api.erasures.schemas import ErasureOut, ErasurePage
from shared.ledger.erasures import ERASURE_COLUMNS

_FIND = text(f"""
    -- find_erasure --
    SELECT {ERASURE_COLUMNS} FROM erasures WHERE id = :id
""")  # noqa: S608 - the names are ours

_PAGE = text(f"""
    -- page_of_erasures --
    SELECT {ERASURE_COLUMNS} FROM erasures WHERE id < :before ORDER BY id DESC LIMIT :limit
""")  # noqa: S608 - the names are ours


async def find(connection: AsyncConnection, erasure_id: int) -> ErasureOut:
    """Return an erasure. Raises NotFound."""
    rows = to_dicts(await connection.execute(_FIND, {"id": erasure_id}))
    if not rows:
        raise NotFound("erasure", erasure_id)
    return ErasureOut.model_validate(rows[0])


async def page(connection: AsyncConnection, *, before: int, limit: int) -> ErasurePage:
    """Return erasures whose ids are below `before`, newest first."""
    rows = to_dicts(await connection.execute(_PAGE, {"before": before, "limit": limit + 1}))
    return ErasurePage.model_validate(cut_page(rows, limit))
