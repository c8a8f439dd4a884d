"""Changes of the stop list, each with its audit entry in the same transaction."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.imports import Imported
from services.api.edge.refusals import NotFound, StopExists
from services.api.stop_list import queries
from services.api.stop_list.csv_rows import ParsedStops
from services.api.stop_list.schemas import StopFields, StopIn, StopOut
from shared.ledger.audit import Subject, audit
from shared.ledger.origin import Origin
from shared.ledger.stop_list import NewStop, StopRow, change_stop, create_stop, delete_stop, merge_stops

_NOUN = "stop"


async def create(connection: AsyncConnection, new: StopIn, origin: Origin) -> StopOut:
    """Put a number on the stop list. Raises StopExists."""
    row = await create_stop(connection, NewStop(new.number, new.scope, new.source, new.note))
    if row is None:
        raise StopExists
    await audit(connection, origin, Subject(_NOUN, row.id, after=_audited(row)))
    return _shown(row)


async def change(connection: AsyncConnection, stop_id: int, wanted: StopFields, origin: Origin) -> StopOut:
    """Change the given fields. Raises NotFound."""
    before = await queries.find(connection, stop_id)
    row = await change_stop(
        connection, stop_id, scope=wanted.get("scope"), source=wanted.get("source"), note=wanted.get("note")
    )
    if row is None:
        raise NotFound("entry", stop_id)
    subject = Subject(_NOUN, stop_id, before.model_dump(exclude={"id", "since"}), _audited(row))
    await audit(connection, origin, subject)
    return _shown(row)


async def delete(connection: AsyncConnection, stop_id: int, origin: Origin) -> None:
    """Take a number off the stop list. Raises NotFound."""
    row = await delete_stop(connection, stop_id)
    if row is None:
        raise NotFound("entry", stop_id)
    await audit(connection, origin, Subject(_NOUN, stop_id, before=_audited(row)))


async def import_stops(connection: AsyncConnection, parsed: ParsedStops, origin: Origin) -> Imported:
    """Add the numbers of a file that are new, and change the others."""
    merged = await merge_stops(connection, parsed.rows)
    counts = {"added": merged.added, "changed": merged.changed}
    await audit(connection, origin, Subject(_NOUN, after=counts))
    return Imported(
        rows=len(parsed.rows) + parsed.rejected,
        **counts,
        unchanged=merged.distinct - merged.added - merged.changed,
        repeated=len(parsed.rows) - merged.distinct,
        rejected=parsed.rejected,
        rejections=parsed.rejections,
    )


def _audited(row: StopRow) -> dict[str, object]:
    return {"number": row.number, "scope": str(row.scope), "source": row.source, "note": row.note}


def _shown(row: StopRow) -> StopOut:
    return StopOut.model_validate(row._asdict())
