"""References of a mailing's filter to other mailings: what it refers to must exist until the audience is fixed."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import Invalid, StateForbids
from services.api.mailings.filters import NormalisedFilter
from shared.ledger.audience import dependent_mailings, mailings_named

# The lock keeps a deletion of these mailings waiting until the reference to them is committed.
_FIND_MAILINGS = """
    -- find_mailings_of_filter --
    SELECT id, details_removed_at IS NOT NULL AS is_removed FROM mailings
    WHERE id = ANY(CAST(:ids AS bigint[])) AND NOT express AND state <> 'deleted' ORDER BY id {lock}
"""
_EXISTING = text(_FIND_MAILINGS.format(lock=""))
_EXISTING_LOCKED = text(_FIND_MAILINGS.format(lock="FOR SHARE"))

_FIND_DEPENDENT = text(f"""
    -- find_dependent_mailing --
    SELECT dependent.id {dependent_mailings("CAST(:id AS bigint)")} ORDER BY dependent.id LIMIT 1
""")


async def check_mailings_exist(
    connection: AsyncConnection, filter_: NormalisedFilter, *, lock: bool = False
) -> None:
    """Raise Invalid if a filter refers to a mailing without messages: it would select nobody, or everybody.

    Such a mailing does not exist, or its messages were removed because of their age.
    """
    named = mailings_named(filter_)
    if named:
        statement = _EXISTING_LOCKED if lock else _EXISTING
        rows = (await connection.execute(statement, {"ids": sorted(named)})).all()
        if missing := sorted(named - {row.id for row in rows}):
            raise Invalid("filter", f"names mailing {missing[0]}, which does not exist")
        if removed := [row.id for row in rows if row.is_removed]:
            raise Invalid("filter", f"names mailing {removed[0]}, whose messages were removed as too old")


async def check_no_reference(connection: AsyncConnection, mailing_id: int) -> None:
    """Raise StateForbids if the audience of another mailing still depends on this one."""
    other = (await connection.execute(_FIND_DEPENDENT, {"id": mailing_id})).scalar_one_or_none()
    if other is not None:
        raise StateForbids(
            f"The audience of mailing {other} depends on this mailing and is not fixed yet; change its filter."
        )
