"""Confirmation of a stop: wait a moment for the senders, and answer what is true then."""

import asyncio

from starlette.responses import Response

from services.api.edge.transactions import Database
from services.api.mailings import queries
from services.api.mailings.schemas import MailingOut

CONFIRMED_WITHIN = 0.9  # seconds
POLL = 0.03


async def confirmed(mailing: MailingOut, database: Database, response: Response) -> MailingOut:
    """Return the stopped mailing as soon as every living sender has confirmed; after a second, as it is then.

    The status becomes 202 if the stop is still pending.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + CONFIRMED_WITHIN
    while mailing.stop == "pending" and loop.time() < deadline:
        await asyncio.sleep(POLL)
        mailing = await database.statement(queries.find, mailing.id)
    if mailing.stop == "pending":
        response.status_code = 202
    return mailing
