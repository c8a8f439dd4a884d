"""Erasing: remove a person from everything but counts, because somebody requested it.

The API has deleted the client already. A message that may still be sent stays until it has its final status. A
message also stays for a moment after that, because a repeated report would write its attempts again.
"""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.planner.reaping import ReapRound
from shared.database.transactions import transaction
from shared.ledger.audit import erase_audited_columns, erase_number_from_audit
from shared.ledger.counters import add_removed_messages
from shared.ledger.deliveries import erase_client_from_deliveries
from shared.ledger.erasures import (
    LockedErasure,
    add_erased_messages,
    find_open_erasures,
    finish_erasure,
    has_messages,
    lock_erasure,
    lock_mailings_of_person,
)
from shared.ledger.idempotency_keys import delete_keys_with
from shared.ledger.jobs import delete_jobs_of_mailings
from shared.ledger.mailing_progress import delete_mailings_of_single_messages
from shared.ledger.mailings import erase_number_from_filters
from shared.ledger.messages import remove_messages_of_client, remove_single_messages
from shared.ledger.progress import SINGLE_MESSAGES

MAX_ERASURES = 100  # looked at in one round
MAX_MAILINGS = 100  # in one transaction, which holds their rows


async def erase(this: ReapRound) -> bool:
    """Carry on with every erasure; return True if there is more to do at once."""
    async with transaction(this.engine) as connection:
        erasure_ids = await find_open_erasures(connection, MAX_ERASURES)
    is_busy = False
    for erasure_id in erasure_ids:
        is_busy |= await _erase_batch(this, erasure_id)
    return is_busy


async def _erase_batch(this: ReapRound, erasure_id: int) -> bool:
    """Remove a batch of the person's messages, or finish the erasure. Return True if a batch was removed."""
    settled_before = this.now - _grace(this)
    async with transaction(this.engine) as connection:
        erasure = await lock_erasure(connection, erasure_id)
        if erasure is None:
            return False
        removed = await _remove_messages(connection, erasure, settled_before)
        # An expansion that began before the client was deleted may create one more message.
        if removed or erasure.requested_at >= settled_before or await has_messages(connection, erasure):
            return removed > 0
        await erase_audited_columns(connection, "client", [erasure.client_id])
        if erasure.number is not None:
            await delete_keys_with(connection, str(erasure.number))
            await erase_number_from_filters(connection, erasure.number)
            await erase_number_from_audit(connection, erasure.number)
        messages = await finish_erasure(connection, erasure_id, this.now)
    this.observer.client_erased(erasure.client_id, messages)
    return False


async def _remove_messages(connection: AsyncConnection, erasure: LockedErasure, settled_before: datetime) -> int:
    """Remove messages of up to MAX_MAILINGS mailings, with what other tables say of them; return their number."""
    mailing_ids, single_ids = await lock_mailings_of_person(connection, erasure, settled_before, MAX_MAILINGS)
    if not mailing_ids and not single_ids:
        return 0
    removed = await remove_messages_of_client(connection, erasure.client_id, mailing_ids, settled_before)
    singles = await remove_single_messages(connection, single_ids)
    await delete_jobs_of_mailings(connection, single_ids)
    await delete_mailings_of_single_messages(connection, single_ids)
    await add_removed_messages(connection, dict.fromkeys(removed, 1))
    await erase_audited_columns(connection, "message", singles)
    lanes = [*mailing_ids, *([SINGLE_MESSAGES] if single_ids else [])]
    await erase_client_from_deliveries(connection, erasure.client_id, lanes)
    await add_erased_messages(connection, erasure.id, len(removed) + len(singles))
    return len(removed) + len(singles)


def _grace(this: ReapRound) -> timedelta:
    """Return how long after a final status no repeated report is expected."""
    return this.settings.lease + this.settings.lease_margin
