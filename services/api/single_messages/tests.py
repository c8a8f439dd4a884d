"""Tests of a mailing: single messages with its text."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.mailings import queries
from services.api.single_messages import commands
from services.api.single_messages.queries import find_attributes
from services.api.single_messages.schemas import MessageIn, TestMessages, TestOrder
from shared.contracts import utc_now
from shared.ledger.origin import Origin
from shared.placeholders import parse_template
from shared.workspace_policy import NO_POLICY

TEST_LIFETIME = timedelta(hours=1)


async def send_tests(
    connection: AsyncConnection, mailing_id: int, wanted: TestOrder, origin: Origin
) -> TestMessages:
    """Send the text of the mailing to each of the numbers. Raises NotFound.

    With placeholders, a client gets its own text, and any other number that of a client without attributes.
    """
    mailing = await queries.find(connection, mailing_id)
    expired_at = utc_now() + TEST_LIFETIME
    items = []
    numbers = list(dict.fromkeys(wanted.numbers))
    texts = dict.fromkeys(numbers, mailing.text)
    if mailing.has_placeholders:
        attributes = await find_attributes(connection, numbers)
        template = parse_template(mailing.text)
        texts = {number: template.render(attributes.get(number, {})) for number in numbers}
    for number, text in texts.items():
        new = MessageIn.model_construct(
            number=number, client=None, text=text, expired_at=expired_at, kind=mailing.kind, max_parts=None
        )
        items.append(await commands.create(connection, new, origin, NO_POLICY, test_of=mailing_id))
    return TestMessages(items=items)
