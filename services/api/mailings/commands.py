"""Changes of mailings.

A change locks the mailing's row first, so that what it was decided on still holds when it is written.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.mailings import queries, rules
from services.api.mailings.filters import NormalisedFilter
from services.api.mailings.schemas import MailingFields, MailingIn, MailingOut, Retry
from shared.contracts import EventKind, utc_now
from shared.ledger.audit import Subject, audit
from shared.ledger.deliveries import put_mailing_events
from shared.ledger.jobs import expire_plans_of_mailing
from shared.ledger.mailings import (
    MailingColumns,
    change_mailing,
    create_mailing,
    end_mailing,
    pause_mailing,
    recall_mailing,
    request_retry,
    resume_mailing,
)
from shared.ledger.origin import Origin
from shared.ledger.outbox import put_event, put_stop
from shared.statuses import MailingState
from shared.webhook_events import WebhookEvent

_AUDITED_FIELDS = {
    "starts_at",
    "expired_at",
    "text",
    "filter",
    "window",
    "rate",
    "name",
    "kind",
    "state",
    "paused",
}


async def create(connection: AsyncConnection, new: MailingIn, origin: Origin) -> MailingOut:
    """Create a mailing. Raises Invalid."""
    rules.check_times(new.starts_at, new.expired_at, utc_now())
    mailing_id = await create_mailing(connection, _columns(new, new.filter.normalised()), origin)
    return await _announce(connection, EventKind.MAILING_CREATED, mailing_id, origin, before=None)


async def change(
    connection: AsyncConnection, mailing_id: int, wanted: MailingFields, origin: Origin
) -> MailingOut:
    """Change the given fields. Raises NotFound, StateForbids, Invalid."""
    mailing, now = await queries.lock(connection, mailing_id), utc_now()
    changes = rules.find_changes(mailing, wanted, now)
    if not changes:
        return mailing
    changed = mailing.model_copy(update=changes)
    await change_mailing(connection, mailing_id, _columns(changed, changed.filter))
    if "window" in changes:
        await expire_plans_of_mailing(connection, mailing_id, now)
    if rules.narrows(mailing, changes, now):
        await _recall(connection, mailing_id)
    return await _announce(connection, EventKind.MAILING_CHANGED, mailing_id, origin, mailing)


async def pause(connection: AsyncConnection, mailing_id: int, origin: Origin) -> MailingOut:
    """Pause a mailing. Raises NotFound, StateForbids."""
    mailing = await queries.lock(connection, mailing_id)
    rules.check_pausable(mailing)
    if mailing.paused:
        return mailing
    await put_stop(connection, mailing_id, await pause_mailing(connection, mailing_id))
    await put_mailing_events(connection, WebhookEvent.MAILING_PAUSED, [mailing_id])
    return await _announce(connection, EventKind.MAILING_STOPPED, mailing_id, origin, mailing)


async def resume(connection: AsyncConnection, mailing_id: int, origin: Origin) -> MailingOut:
    """Resume a paused mailing. Raises NotFound, StateForbids."""
    mailing = await queries.lock(connection, mailing_id)
    rules.check_pausable(mailing)
    if not mailing.paused:
        return mailing
    await resume_mailing(connection, mailing_id)
    await put_mailing_events(connection, WebhookEvent.MAILING_RESUMED, [mailing_id])
    return await _announce(connection, EventKind.MAILING_RESUMED, mailing_id, origin, mailing)


async def cancel(connection: AsyncConnection, mailing_id: int, origin: Origin) -> MailingOut:
    """Cancel a mailing for good. Raises NotFound, StateForbids."""
    mailing = await queries.lock(connection, mailing_id)
    rules.check_cancelable(mailing)
    if mailing.state == MailingState.CANCELED:
        return mailing
    await put_stop(connection, mailing_id, await end_mailing(connection, mailing_id, MailingState.CANCELED))
    await put_mailing_events(connection, WebhookEvent.MAILING_CANCELED, [mailing_id])
    return await _announce(connection, EventKind.MAILING_STOPPED, mailing_id, origin, mailing)


async def retry(connection: AsyncConnection, mailing_id: int, wanted: Retry, origin: Origin) -> MailingOut:
    """Request that messages are sent again. Raises NotFound, StateForbids, Invalid."""
    mailing, now = await queries.lock(connection, mailing_id), utc_now()
    statuses, expired_at = wanted["status"], wanted["expired_at"]
    rules.check_retriable(mailing, expired_at, now)
    if not rules.has_any(mailing, statuses):
        return mailing
    await request_retry(connection, mailing_id, statuses, expired_at, now)
    if rules.narrows(mailing, {"expired_at": expired_at}, now):
        await _recall(connection, mailing_id)
    return await _announce(connection, EventKind.MAILING_CHANGED, mailing_id, origin, mailing)


async def delete(connection: AsyncConnection, mailing_id: int, origin: Origin) -> None:
    """Hide a mailing from now on; the planner removes its rows. Raises NotFound."""
    mailing = await queries.lock(connection, mailing_id)
    await put_stop(connection, mailing_id, await end_mailing(connection, mailing_id, MailingState.DELETED))
    await put_event(connection, EventKind.MAILING_DELETED, mailing_id, origin)
    await audit(connection, origin, Subject("mailing", mailing_id, before=_audited(mailing)))


async def _recall(connection: AsyncConnection, mailing_id: int) -> None:
    """Stop the jobs that senders have, so that their messages are released again within the new limits."""
    await put_stop(connection, mailing_id, await recall_mailing(connection, mailing_id))


async def _announce(
    connection: AsyncConnection, kind: EventKind, mailing_id: int, origin: Origin, before: MailingOut | None
) -> MailingOut:
    """Put the event of a change into the outbox, and write its audit; return the mailing as it is now."""
    await put_event(connection, kind, mailing_id, origin)
    after = await queries.find(connection, mailing_id)
    subject = Subject("mailing", mailing_id, None if before is None else _audited(before), _audited(after))
    await audit(connection, origin, subject)
    return after


def _audited(mailing: MailingOut) -> dict[str, object]:
    return mailing.model_dump(mode="json", include=_AUDITED_FIELDS)


def _columns(source: MailingIn | MailingOut, normalised: NormalisedFilter) -> MailingColumns:
    return MailingColumns(
        starts_at=source.starts_at,
        expired_at=source.expired_at,
        text=source.text,
        filter=normalised,
        window=None if source.window is None else source.window.as_window(),
        rate=source.rate,
        name=source.name,
        kind=source.kind,
    )
