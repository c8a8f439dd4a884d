"""References of a mailing's filter to other mailings: what it refers to must exist until the audience is fixed."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import Invalid, StateForbids
from services.api.mailings.filters import NormalisedFilter
from shared.ledger.audience import mailings_named

# The lock keeps a deletion of these mailings waiting until the reference to them is committed.
_FIND_MAILINGS = """
    -- find_mailings_of_filter --
    SELECT id FROM mailings
    WHERE id = ANY(CAST(:ids AS bigint[])) AND NOT express AND state <> 'deleted' ORDER BY id {lock}
"""
_EXISTING = text(_FIND_MAILINGS.format(lock=""))
_EXISTING_LOCKED = text(_FIND_MAILINGS.format(lock="FOR SHARE"))

_FIND_REFERENCE = text("""
    -- find_reference_to_mailing --
    SELECT id FROM mailings
    WHERE (state = 'scheduled'
            OR (state <> 'scheduled' AND finished_at IS NULL AND state IN ('waiting', 'running')))
        AND expanded_at IS NULL AND id <> :id
        AND jsonb_path_exists(filter,
            '$.** ? (@.in_mailing[*].id == $id || @.not_in_mailing[*].id == $id)',
            jsonb_build_object('id', CAST(:id AS bigint)))
    ORDER BY id LIMIT 1
""")


async def check_mailings_exist(
    connection: AsyncConnection, filter_: NormalisedFilter, *, lock: bool = False
) -> None:
    """Raise Invalid if a filter refers to a mailing that does not exist: it would select nobody or everybody."""
    named = mailings_named(filter_)
    if named:
        statement = _EXISTING_LOCKED if lock else _EXISTING
        existing = set((await connection.execute(statement, {"ids": sorted(named)})).scalars())
        if missing := sorted(named - existing):
            raise Invalid("filter", f"names mailing {missing[0]}, which does not exist")


async def check_no_reference(connection: AsyncConnection, mailing_id: int) -> None:
    """Raise StateForbids if the audience of another mailing still depends on this one."""
    other = (await connection.execute(_FIND_REFERENCE, {"id": mailing_id})).scalar_one_or_none()
    if other is not None:
        raise StateForbids(
            f"The audience of mailing {other} depends on this mailing and is not fixed yet; change its filter."
        )
