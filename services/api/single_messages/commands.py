"""Creation of single messages."""

from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.mailings import rules
from services.api.messages.schemas import MessageDetail
from services.api.single_messages.queries import Recipient, find_recipient
from services.api.single_messages.schemas import MessageIn
from shared.contracts import EventKind, utc_now
from shared.ledger.audit import Subject, audit
from shared.ledger.origin import Origin
from shared.ledger.outbox import put_event
from shared.ledger.single_messages import NO_CLIENT, NewSingleMessage, create_single_message
from shared.statuses import MessageStatus

LIFETIME = timedelta(hours=24)


async def create(
    connection: AsyncConnection, new: MessageIn, origin: Origin, *, test_of: int | None = None
) -> MessageDetail:
    """Create a message that is due now, as a test of a mailing if one is given. Raises NotFound, Invalid."""
    now = utc_now()
    expired_at = new.expired_at or now + LIFETIME
    rules.check_end(expired_at, now)
    recipient = await find_recipient(connection, new)
    message = NewSingleMessage(recipient.client_id, new.number, new.text, expired_at, new.kind, origin, test_of)
    created = await create_single_message(connection, message, now)
    await put_event(connection, EventKind.MAILING_CREATED, created.mailing_id, origin)
    shown = {"client_id": recipient.client_id, "number": recipient.number, "expired_at": expired_at}
    if test_of is not None:
        shown["test_of"] = test_of
    await audit(connection, origin, Subject("message", created.id, after=shown))
    return _new_message(created.id, recipient, test_of, now)


def _new_message(message_id: int, recipient: Recipient, test_of: int | None, now: datetime) -> MessageDetail:
    return MessageDetail(
        id=message_id,
        mailing_id=None,
        client_id=None if recipient.client_id == NO_CLIENT else recipient.client_id,
        number=recipient.number,
        status=MessageStatus.NEW,
        reason=None,
        created_at=now,
        settled_at=None,
        tries=0,
        test_of=test_of,
        attempts=[],
    )
