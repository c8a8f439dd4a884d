"""Approval: a mailing to many people waits until somebody other than its author has looked at it.

Its author is who created it, or changed since then what it says or whom it reaches. Such a change needs a new
approval.
"""

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.refusals import StateForbids
from services.api.mailings.filters import NormalisedFilter
from services.api.mailings.rules import NOT_STARTED
from services.api.mailings.schemas import MailingOut
from shared.ledger.bulk_messages import audience_exceeds
from shared.ledger.mailings import submit_mailing
from shared.ledger.origin import Origin
from shared.statuses import MailingState
from shared.workspace_policy import WorkspacePolicy

# A change of any other field needs a new approval.
_HARMLESS = frozenset({"name", "rate", "starts_at", "expired_at"})


async def needs_approval(connection: AsyncConnection, audience: NormalisedFilter, policy: WorkspacePolicy) -> bool:
    """Return True if so many clients match the filter that a mailing to them waits for approval."""
    above = policy.approve_above
    return above is not None and await audience_exceeds(connection, audience, above)


async def submit(
    connection: AsyncConnection,
    mailing_id: int,
    audience: NormalisedFilter,
    policy: WorkspacePolicy,
    origin: Origin,
) -> None:
    """Schedule a mailing that is new or was changed, or let it wait for approval."""
    large = await needs_approval(connection, audience, policy)
    state = MailingState.WAITING if large else MailingState.SCHEDULED
    await submit_mailing(connection, mailing_id, state, origin.actor)


def voids_approval(mailing: MailingOut, changes: Iterable[str]) -> bool:
    """Return True if the changed mailing needs a new approval. Raises StateForbids if it has started with one."""
    if _HARMLESS.issuperset(changes):
        return False
    if mailing.state in NOT_STARTED:
        return True
    if mailing.approved_by is not None:
        raise StateForbids(
            "The mailing has started as it was approved: only its name, rate, start and end can be changed."
            " Cancel it, and create another one."
        )
    return False


def check_approvable(mailing: MailingOut, actor: str) -> None:
    """Raise StateForbids if the mailing does not wait for approval, or not for this person's."""
    if mailing.state != MailingState.WAITING:
        raise StateForbids(f"The mailing is {mailing.state}: it does not wait for approval.")
    if mailing.author == actor:
        raise StateForbids("You have written this mailing yourself, so somebody else must approve it.")
