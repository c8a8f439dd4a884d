"""Duplicates of a mailing, with new times."""

from pydantic import TypeAdapter, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import Invalid
from services.api.mailings import commands, queries
from services.api.mailings.schemas import Duplicate, MailingIn, MailingOut
from shared.ledger.origin import Origin
from shared.workspace_policy import WorkspacePolicy

_DUPLICATE = TypeAdapter(Duplicate)


async def duplicate(
    connection: AsyncConnection, mailing_id: int, wanted: Duplicate, origin: Origin, policy: WorkspacePolicy
) -> MailingOut:
    """Create a mailing with the fields of another one, apart from those given. Raises NotFound, Invalid."""
    source = await queries.find(connection, mailing_id)
    # Both as a caller writes them, so that they are parsed as the body of a new mailing is.
    kept = source.model_dump(mode="json", by_alias=True, include=set(MailingIn.model_fields))
    changed = _DUPLICATE.dump_python(wanted, mode="json", by_alias=True)
    try:
        new = MailingIn.model_validate({**kept, **changed})
    except ValidationError as error:  # the mailing is from before there was a rule
        problem = error.errors()[0]
        raise Invalid(".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, ")) from None
    return await commands.create(connection, new, origin, policy)
