"""/api/mailing/: mailings, what becomes of them, and their control."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response, StreamingResponse

from services.api import mailings, messages, previews
from services.api.bodies import StrictJsonRoute
from services.api.idempotency import once
from services.api.problems import documented
from services.api.refusals import KeyInFlight, KeyReused, NotFound, StateForbids
from services.api.routes.asking import After, Limit, MailingId, OnDatabase, ProviderRate, RequestId, Transfers
from services.api.routes.repeating import Keyed, created
from services.api.routes.streaming import CSV_ANSWER, csv_answer
from services.api.schemas import (
    MailingChange,
    MailingDetail,
    MailingIn,
    MailingOut,
    MailingPage,
    MessagePage,
    Preview,
    Retry,
)
from services.api.transfers import export_messages
from shared.contracts import INT64_MAX
from shared.statuses import MessageStatus

router = APIRouter(prefix="/api/mailing", tags=["mailings"], route_class=StrictJsonRoute)

_FIRST_MESSAGES = 100
_MAY_BE_FORBIDDEN = documented(NotFound, StateForbids)


@router.post(
    "/",
    status_code=201,
    response_model=MailingOut,
    summary="Create a mailing",
    responses=documented(KeyInFlight, KeyReused),
)
async def create(
    new: MailingIn, database: OnDatabase, request_id: RequestId, keyed: Keyed
) -> MailingOut | Response:
    """Starts by itself at `starts_at`; at once, if that is past. Nothing is sent after `expired_at`.

    `filter` is a tag, an operator's code (digits only), or an object of lists: any of the values within a
    field, all of the fields given. A tag made of digits must be written as `{"tag": ["123"]}`.

    With a `window`, a client is written to only while its own clock is inside, as often as that comes before
    the end. With a `rate`, no second sees more messages of it.
    """
    if keyed is not None:
        return created(await database.transaction(once, keyed, mailings.create, new, request_id), "mailing")
    mailing = await database.transaction(mailings.create, new, request_id)
    structlog.contextvars.bind_contextvars(mailing_id=mailing.id)
    return mailing


@router.post("/preview/", summary="Preview a mailing", responses=documented())
async def preview(new: MailingIn, database: OnDatabase, provider_rate: ProviderRate) -> Preview:
    """To whom it would go, and whether it would be done in time. Nothing is saved, and nothing sent.

    Takes the clients that are there now. Reckons with 97.5 % of the rate, as that is how far it is used.
    """
    return await previews.preview(database, new, provider_rate)


@router.get("/", summary="List mailings with their statistics", responses=documented())
async def page(database: OnDatabase, limit: Limit = 100, after: After = None) -> MailingPage:
    """Newest first."""
    return await database.statement(mailings.page, before=after or INT64_MAX, limit=limit)


@router.get("/{mailing_id}/", summary="Show a mailing in detail", responses=documented(NotFound))
async def find(mailing_id: MailingId, database: OnDatabase) -> MailingDetail:
    """All fields, the statistics and the first 100 messages; the others are at `messages/`."""
    return await database.statement(_find_with_messages, mailing_id)


async def _find_with_messages(connection: AsyncConnection, mailing_id: int) -> MailingDetail:
    mailing = await mailings.find(connection, mailing_id)
    first = await messages.page(connection, mailing_id, status=None, after=0, limit=_FIRST_MESSAGES)
    return MailingDetail(**dict(mailing), messages=first.items)


@router.get("/{mailing_id}/messages/", summary="List a mailing's messages", responses=documented(NotFound))
async def message_page(
    mailing_id: MailingId,
    database: OnDatabase,
    status: Annotated[MessageStatus | None, Query(description="only those in this status")] = None,
    limit: Limit = 100,
    after: After = None,
) -> MessagePage:
    """In the order of their clients."""
    return await database.statement(messages.page, mailing_id, status=status, after=after or 0, limit=limit)


@router.get(
    "/{mailing_id}/messages/export/",
    summary="Export a mailing's messages as CSV",
    response_class=StreamingResponse,
    responses=documented(NotFound) | CSV_ANSWER,
)
async def export_csv(mailing_id: MailingId, database: OnDatabase, transfers: Transfers) -> StreamingResponse:
    """All of them, in the order of their clients: id, client, number, status, reason, times and tries."""
    await database.statement(mailings.find, mailing_id)
    return await csv_answer(export_messages(transfers, mailing_id), f"mailing-{mailing_id}.csv")


@router.put("/{mailing_id}/", summary="Change a mailing", responses=_MAY_BE_FORBIDDEN)
@router.patch("/{mailing_id}/", summary="Change a mailing", responses=_MAY_BE_FORBIDDEN)
async def change(
    mailing_id: MailingId, changes: MailingChange, database: OnDatabase, request_id: RequestId
) -> MailingOut:
    """PUT and PATCH are the same: what is not given stays.

    Once a mailing has started, `filter` can no longer change; the others can, for the messages that are not
    with a sender yet. `null` takes a window or a rate away. A finished or canceled mailing cannot change.
    """
    return await database.transaction(mailings.change, mailing_id, changes, request_id)


@router.delete("/{mailing_id}/", status_code=204, summary="Delete a mailing", responses=documented(NotFound))
async def delete(mailing_id: MailingId, database: OnDatabase, request_id: RequestId) -> None:
    """Stops it, and removes it with its messages and statistics."""
    await database.transaction(mailings.delete, mailing_id, request_id)


@router.post("/{mailing_id}/pause/", summary="Pause a mailing", responses=_MAY_BE_FORBIDDEN)
async def pause(mailing_id: MailingId, database: OnDatabase, request_id: RequestId) -> MailingOut:
    """Nothing more of it is sent until it is resumed. Its time goes on: `expired_at` stays."""
    return await database.transaction(mailings.pause, mailing_id, request_id)


@router.post("/{mailing_id}/resume/", summary="Resume a mailing", responses=_MAY_BE_FORBIDDEN)
async def resume(mailing_id: MailingId, database: OnDatabase, request_id: RequestId) -> MailingOut:
    """Sending goes on where it was paused."""
    return await database.transaction(mailings.resume, mailing_id, request_id)


@router.post("/{mailing_id}/cancel/", summary="Cancel a mailing", responses=_MAY_BE_FORBIDDEN)
async def cancel(mailing_id: MailingId, database: OnDatabase, request_id: RequestId) -> MailingOut:
    """Nothing more of it is ever sent; it stays in the statistics."""
    return await database.transaction(mailings.cancel, mailing_id, request_id)


@router.post("/{mailing_id}/retry/", summary="Retry what was not sent", responses=_MAY_BE_FORBIDDEN)
async def retry(mailing_id: MailingId, wanted: Retry, database: OnDatabase, request_id: RequestId) -> MailingOut:
    """The messages in these statuses become `new` again, and the mailing ends at `expired_at` instead.

    It happens bit by bit, right after the answer. What is `uncertain` may have reached its client already. If
    there is nothing in these statuses, nothing changes: so calling it twice is calling it once.
    """
    return await database.transaction(mailings.retry, mailing_id, wanted, request_id)
