"""Changes of mailings.

A change locks the mailing's row first, so that what it was decided on still holds when it is written.
"""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.entity_tags import ANY_VERSION, Precondition
from services.api.edge.principal import numbers_are_masked
from services.api.mailings import approval, queries, rules
from services.api.mailings.filters import NormalisedFilter
from services.api.mailings.reference_queries import check_mailings_exist, check_no_reference
from services.api.mailings.schemas import MailingFields, MailingIn, MailingOut, Retry
from services.api.mailings.text_queries import check_attributes
from shared.contracts import EventKind, utc_now
from shared.frequency import Cap
from shared.ledger.audit import Subject, audit
from shared.ledger.deliveries import put_mailing_events
from shared.ledger.jobs import expire_plans_of_mailing
from shared.ledger.mailings import (
    MailingColumns,
    approve_mailing,
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
from shared.ledger.texts import keep_replaced_text
from shared.statuses import MailingState
from shared.webhook_events import WebhookEvent
from shared.workspace_policy import WorkspacePolicy

_AUDITED_FIELDS = {
    "starts_at",
    "expired_at",
    "text",
    "filter",
    "window",
    "rate",
    "name",
    "kind",
    "sender_name",
    "validity",
    "max_parts",
    "frequency_cap",
    "no_repeat",
    "state",
    "approved_by",
    "paused",
}


async def create(
    connection: AsyncConnection, new: MailingIn, origin: Origin, policy: WorkspacePolicy
) -> MailingOut:
    """Create a mailing. Raises Invalid."""
    rules.check_times(new.starts_at, new.expired_at, utc_now())
    rules.check_provider_fields(vars(new), policy.provider_fields)
    rules.check_hours(new.window, new.kind, policy)
    rules.check_parts(new.text, new.max_parts)
    rules.check_cap(new.frequency_cap, new.kind)
    audience = new.filter.normalised()
    await check_mailings_exist(connection, audience, lock=True)
    await check_attributes(connection, new.text)
    mailing_id = await create_mailing(connection, _columns(new, audience), origin)
    if policy.approve_above is not None:
        await approval.submit(connection, mailing_id, audience, policy, origin)
    return await _announce(connection, EventKind.MAILING_CREATED, mailing_id, origin, before=None)


async def change(
    connection: AsyncConnection,
    mailing_id: int,
    wanted: MailingFields,
    origin: Origin,
    policy: WorkspacePolicy,
    precondition: Precondition = ANY_VERSION,
) -> MailingOut:
    """Change the given fields. Raises NotFound, ChangedMeanwhile, StateForbids, Invalid."""
    mailing, now = await queries.lock(connection, mailing_id), utc_now()
    precondition.check("mailing", mailing)
    rules.check_provider_fields({**wanted}, policy.provider_fields)
    changes = rules.find_changes(mailing, wanted, now)
    if not changes:
        return mailing
    changed = mailing.model_copy(update=changes)
    if not changes.keys().isdisjoint({"window", "kind"}):
        rules.check_hours(changed.window, changed.kind, policy)
    rules.check_parts(changed.text, changed.max_parts)
    rules.check_cap(changed.frequency_cap, changed.kind)
    is_new_content = approval.voids_approval(mailing, changes)
    if "filter" in changes:
        await check_mailings_exist(connection, changed.filter, lock=True)
    if "text" in changes:
        await check_attributes(connection, changed.text)
        await keep_replaced_text(connection, mailing_id)
    await change_mailing(connection, mailing_id, _columns(changed, changed.filter))
    if is_new_content:
        await approval.submit(connection, mailing_id, changed.filter, policy, origin)
    if not changes.keys().isdisjoint({"window", "kind"}):
        await expire_plans_of_mailing(connection, mailing_id, now)
    if rules.narrows(mailing, changes, now):
        await _recall(connection, mailing_id)
    return await _announce(connection, EventKind.MAILING_CHANGED, mailing_id, origin, mailing)


async def approve(
    connection: AsyncConnection, mailing_id: int, origin: Origin, precondition: Precondition = ANY_VERSION
) -> MailingOut:
    """Let a mailing that waits for approval start at its time.

    Raises NotFound, ChangedMeanwhile, StateForbids, Invalid.
    """
    mailing = await queries.lock(connection, mailing_id)
    if mailing.approved_by == origin.actor:
        return mailing
    precondition.check("mailing", mailing)
    approval.check_approvable(mailing, origin.actor)
    rules.check_end(mailing.expired_at, utc_now())
    await approve_mailing(connection, mailing_id, origin.actor)
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


async def delete(
    connection: AsyncConnection, mailing_id: int, origin: Origin, precondition: Precondition = ANY_VERSION
) -> None:
    """Hide a mailing from now on; the planner removes its rows. Raises NotFound, ChangedMeanwhile,
    StateForbids.
    """
    mailing = await queries.lock(connection, mailing_id)
    precondition.check("mailing", mailing)
    await check_no_reference(connection, mailing_id)
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
    """Return what the audit keeps of a mailing, with the numbers of its filter masked."""
    before = numbers_are_masked.set(True)
    try:
        return mailing.model_dump(mode="json", include=_AUDITED_FIELDS)
    finally:
        numbers_are_masked.reset(before)


def _cap(source: MailingIn | MailingOut) -> Cap | None:
    limit = source.frequency_cap
    if limit is None:
        return Cap.from_columns(None, None, source.no_repeat)
    return Cap.from_columns(limit.messages, limit.days, source.no_repeat)


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
        sender_name=source.sender_name,
        validity=source.validity,
        max_parts=source.max_parts,
        cap=_cap(source),
    )
