"""Tests of a mailing: single messages with its text."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.mailings import queries
from services.api.single_messages import commands
from services.api.single_messages.schemas import MessageIn, TestMessages, TestOrder
from shared.contracts import utc_now
from shared.ledger.origin import Origin

TEST_LIFETIME = timedelta(hours=1)


async def send_tests(
    connection: AsyncConnection, mailing_id: int, wanted: TestOrder, origin: Origin
) -> TestMessages:
    """Send the text of the mailing to each of the numbers. Raises NotFound."""
    mailing = await queries.find(connection, mailing_id)
    expired_at = utc_now() + TEST_LIFETIME
    items = []
    for number in dict.fromkeys(wanted.numbers):
        new = MessageIn.model_construct(
            number=number, client=None, text=mailing.text, expired_at=expired_at, kind=mailing.kind
        )
        items.append(await commands.create(connection, new, origin, test_of=mailing_id))
    return TestMessages(items=items)
