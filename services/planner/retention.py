"""Retention: remove the details of messages that ended long ago, and keep every count.

Each batch is a transaction of its own, and short, so nobody waits for it. A batch locks its mailings first. So it
never meets a retry, and removes nothing that may still be sent. Planners may overlap.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.planner.reaping import ReapRound
from shared.database.transactions import transaction
from shared.ledger.attempts import NO_ATTEMPT, AttemptKey, delete_old_attempts
from shared.ledger.counters import add_removed_messages
from shared.ledger.jobs import delete_empty_jobs, delete_jobs_of_mailings
from shared.ledger.mailing_progress import (
    delete_mailings_of_single_messages,
    lock_ended_single_messages,
    lock_mailing_with_old_messages,
    note_removal_of_details,
)
from shared.ledger.messages import remove_final_messages, remove_single_messages

MAX_MESSAGES = 1_000  # in one transaction, also of attempts
MAX_SINGLES = 250  # each has a row in four tables


@dataclass(slots=True)
class Retention:
    """Removal in batches. It remembers how far it is, so that no batch passes the rows of earlier ones again."""

    _mailing_id: int = 0  # the mailings up to this one are looked through
    _client_id: int = 0  # of the mailing after that one, messages up to this client are removed
    _attempt: AttemptKey = NO_ATTEMPT

    async def remove_batch(self, this: ReapRound) -> bool:
        """Remove a batch of each kind; return True if there may be more to remove now."""
        singles = await self._remove_singles(this)
        messages = await self._remove_messages(this)
        attempts = await self._remove_attempts(this)
        return singles or messages or attempts

    async def _remove_singles(self, this: ReapRound) -> bool:
        ended_before = _before(this, this.settings.keep_singles)
        if ended_before is None:
            return False
        async with transaction(this.engine) as connection:
            mailing_ids = await lock_ended_single_messages(connection, ended_before, MAX_SINGLES)
            if mailing_ids:
                await remove_single_messages(connection, mailing_ids)
                await delete_jobs_of_mailings(connection, mailing_ids)
                await delete_mailings_of_single_messages(connection, mailing_ids)
        this.observer.details_removed("single", len(mailing_ids))
        return len(mailing_ids) == MAX_SINGLES

    async def _remove_messages(self, this: ReapRound) -> bool:
        ended_before = _before(this, this.settings.keep_messages)
        if ended_before is None:
            return False
        async with transaction(this.engine) as connection:
            mailing_id = await lock_mailing_with_old_messages(connection, self._mailing_id, ended_before)
            if mailing_id is None:
                self._mailing_id = self._client_id = 0
                return False
            await note_removal_of_details(connection, mailing_id, this.now)
            removed = await remove_final_messages(connection, mailing_id, self._client_id, MAX_MESSAGES)
            is_last = removed.messages < MAX_MESSAGES
            if is_last:
                await delete_jobs_of_mailings(connection, [mailing_id])
            else:
                await delete_empty_jobs(connection, removed.job_ids)
            await add_removed_messages(connection, {mailing_id: removed.messages})
        self._client_id = 0 if is_last else removed.last_client_id
        if is_last:
            self._mailing_id = mailing_id
        this.observer.details_removed("message", removed.messages, mailing_id if is_last else None)
        return True

    async def _remove_attempts(self, this: ReapRound) -> bool:
        made_before = _before(this, this.settings.keep_attempts)
        if made_before is None:
            return False
        async with transaction(this.engine) as connection:
            removed = await delete_old_attempts(connection, self._attempt, made_before, MAX_MESSAGES)
        this.observer.details_removed("attempt", removed.attempts)
        has_more = removed.attempts == MAX_MESSAGES
        self._attempt = removed.last if has_more else NO_ATTEMPT
        return has_more


def _before(this: ReapRound, kept_for: timedelta | None) -> datetime | None:
    """Return the instant before which rows are old; None if they are kept for ever."""
    return None if kept_for is None else this.now - kept_for
