"""Duplicates of a mailing, with new times."""

from pydantic import TypeAdapter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.mailings import commands, queries
from services.api.mailings.schemas import Duplicate, MailingIn, MailingOut
from shared.ledger.origin import Origin

_DUPLICATE = TypeAdapter(Duplicate)


async def duplicate(connection: AsyncConnection, mailing_id: int, wanted: Duplicate, origin: Origin) -> MailingOut:
    """Create a mailing with the fields of another one, apart from those given. Raises NotFound, Invalid."""
    source = await queries.find(connection, mailing_id)
    # Both as a caller writes them, so that they are parsed as the body of a new mailing is.
    kept = source.model_dump(mode="json", by_alias=True, include=set(MailingIn.model_fields))
    changed = _DUPLICATE.dump_python(wanted, mode="json", by_alias=True)
    return await commands.create(connection, MailingIn.model_validate({**kept, **changed}), origin)
