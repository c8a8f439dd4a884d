"""Routes of /api/mailing/."""

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.responses import Response, StreamingResponse

from services.api.edge import observer
from services.api.edge.dependencies import DatabaseDep, MailingId, OriginDep, ProviderRateDep, TransfersDep
from services.api.edge.idempotency import create_once
from services.api.edge.idempotent_posts import KeyedRequestDep, created_response
from services.api.edge.pages import After, Limit
from services.api.edge.problems import documented
from services.api.edge.refusals import KeyInFlight, KeyReused, NotFound, StateForbids
from services.api.edge.streaming import CSV_RESPONSE, csv_response
from services.api.edge.strict_json import StrictJsonRoute
from services.api.mailings import commands, copies, previews, queries
from services.api.mailings.schemas import (
    Duplicate,
    MailingChange,
    MailingDetail,
    MailingIn,
    MailingOut,
    MailingPage,
    Preview,
    Retry,
)
from services.api.mailings.stopping import confirmed
from services.api.messages import queries as message_queries
from services.api.messages.schemas import MessagePage
from shared.contracts import INT64_MAX
from shared.ledger.audit import Subject, audit
from shared.statuses import MessageStatus

router = APIRouter(prefix="/api/mailing", tags=["mailings"], route_class=StrictJsonRoute)

_FIRST_MESSAGES = 100
_CAN_BE_FORBIDDEN = documented(NotFound, StateForbids)
_MAY_BE_PENDING = _CAN_BE_FORBIDDEN | {
    202: {"model": MailingOut, "description": "Stopped, but some sender has not confirmed it yet."}
}


@router.post(
    "/",
    status_code=201,
    response_model=MailingOut,
    summary="Create a mailing",
    responses=documented(KeyInFlight, KeyReused),
)
async def create(
    new: MailingIn, database: DatabaseDep, origin: OriginDep, keyed: KeyedRequestDep
) -> MailingOut | Response:
    """Create a mailing that starts by itself at `starts_at`, or at once if this is in the past.

    Nothing is sent at or after `expired_at`.

    `filter` selects the audience. It is a tag, an operator's code (digits only), or an object of lists. A client
    must match every field of the object, by any of the values in the field's list. Write a tag that consists of
    digits as `{"tag": ["123"]}`.

    With a `window`, a client gets a message only while the clock of its own time zone is inside the window. With a
    `rate`, at most so many messages of the mailing are sent in any second.
    """
    if keyed is not None:
        answer = await database.transaction(create_once, keyed, commands.create, new, origin)
        return created_response(answer, "mailing")
    mailing = await database.transaction(commands.create, new, origin)
    observer.resource_created(mailing_id=mailing.id)
    return mailing


@router.post("/preview/", summary="Preview a mailing", responses=documented())
async def preview(new: MailingIn, database: DatabaseDep, provider_rate: ProviderRateDep) -> Preview:
    """Count the recipients of a mailing, and forecast when it would be done. Nothing is saved and nothing is sent.

    The forecast uses the clients of this moment and 97.5 % of the rate, because senders do not use the rest.
    """
    return await previews.preview(database, new, provider_rate)


@router.get("/", summary="List mailings with their statistics", responses=documented())
async def page(database: DatabaseDep, limit: Limit = 100, after: After = None) -> MailingPage:
    """List all mailings, newest first."""
    return await database.statement(queries.page, before=after or INT64_MAX, limit=limit)


@router.get("/{mailing_id:id}/", summary="Show a mailing in detail", responses=documented(NotFound))
async def find(mailing_id: MailingId, database: DatabaseDep) -> MailingDetail:
    """Return one mailing with its statistics and its first 100 messages. `messages/` below it lists all."""
    return await database.statement(_find_with_messages, mailing_id)


async def _find_with_messages(connection: AsyncConnection, mailing_id: int) -> MailingDetail:
    mailing = await queries.find(connection, mailing_id)
    first = await message_queries.page(connection, mailing_id, status=None, after=0, limit=_FIRST_MESSAGES)
    return MailingDetail(**dict(mailing), messages=first.items)


@router.get("/{mailing_id:id}/messages/", summary="List a mailing's messages", responses=documented(NotFound))
async def message_page(
    mailing_id: MailingId,
    database: DatabaseDep,
    status: Annotated[MessageStatus | None, Query(description="Only messages with this status.")] = None,
    limit: Limit = 100,
    after: After = None,
) -> MessagePage:
    """List the messages of a mailing by ascending client id."""
    return await database.statement(message_queries.page, mailing_id, status=status, after=after or 0, limit=limit)


@router.get(
    "/{mailing_id:id}/messages/export/",
    summary="Export a mailing's messages as CSV",
    response_class=StreamingResponse,
    responses=documented(NotFound) | CSV_RESPONSE,
)
async def export_csv(
    mailing_id: MailingId, database: DatabaseDep, transfers: TransfersDep, origin: OriginDep
) -> StreamingResponse:
    """Return all messages of a mailing as a CSV file by ascending client id."""
    await database.statement(queries.find, mailing_id)
    await database.transaction(audit, origin, Subject("mailing", mailing_id))
    return await csv_response(queries.export_messages(transfers, mailing_id), f"mailing-{mailing_id}.csv")


@router.put("/{mailing_id:id}/", summary="Change a mailing, like PATCH", responses=_CAN_BE_FORBIDDEN)
@router.patch("/{mailing_id:id}/", summary="Change a mailing", responses=_CAN_BE_FORBIDDEN)
async def change(
    mailing_id: MailingId, changes: MailingChange, database: DatabaseDep, origin: OriginDep
) -> MailingOut:
    """Change the given fields; the others keep their values. PUT and PATCH do the same.

    After the start, `filter` cannot be changed. The other fields can; the new values apply to the messages that
    are not sent yet. `null` removes a window or a rate. A finished or canceled mailing cannot be changed.
    """
    return await database.transaction(commands.change, mailing_id, changes, origin)


@router.delete("/{mailing_id:id}/", status_code=204, summary="Delete a mailing", responses=documented(NotFound))
async def delete(mailing_id: MailingId, database: DatabaseDep, origin: OriginDep) -> None:
    """Stop a mailing and remove it with its messages and statistics."""
    await database.transaction(commands.delete, mailing_id, origin)


@router.post("/{mailing_id:id}/pause/", summary="Pause a mailing", responses=_MAY_BE_PENDING)
async def pause(mailing_id: MailingId, database: DatabaseDep, origin: OriginDep, response: Response) -> MailingOut:
    """Stop sending until the mailing is resumed. `expired_at` stays as it is.

    The answer comes when every sender has confirmed the stop: `stop` is `applied`. If some sender has not
    confirmed it within a second, the status is 202 and `stop` is `pending`. The mailing is paused all the same.
    """
    return await confirmed(await database.transaction(commands.pause, mailing_id, origin), database, response)


@router.post("/{mailing_id:id}/resume/", summary="Resume a mailing", responses=_CAN_BE_FORBIDDEN)
async def resume(mailing_id: MailingId, database: DatabaseDep, origin: OriginDep) -> MailingOut:
    """Continue to send the messages of a paused mailing."""
    return await database.transaction(commands.resume, mailing_id, origin)


@router.post("/{mailing_id:id}/cancel/", summary="Cancel a mailing", responses=_MAY_BE_PENDING)
async def cancel(
    mailing_id: MailingId, database: DatabaseDep, origin: OriginDep, response: Response
) -> MailingOut:
    """End a mailing for good: nothing more of it is sent. It stays in the list with its statistics.

    The status is 202 if some sender has not confirmed the stop within a second, as for a pause.
    """
    return await confirmed(await database.transaction(commands.cancel, mailing_id, origin), database, response)


@router.post("/{mailing_id:id}/retry/", summary="Retry messages that were not sent", responses=_CAN_BE_FORBIDDEN)
async def retry(mailing_id: MailingId, wanted: Retry, database: DatabaseDep, origin: OriginDep) -> MailingOut:
    """Send the messages with the given statuses again, until the new `expired_at`.

    The messages become `new` again in small steps, right after the answer. A message that is `uncertain` may have
    reached its client already.

    If no message has one of the statuses, nothing changes. So calling it twice has the effect of calling it once.
    """
    return await database.transaction(commands.retry, mailing_id, wanted, origin)


@router.post(
    "/{mailing_id:id}/duplicate/",
    status_code=201,
    response_model=MailingOut,
    summary="Duplicate a mailing",
    responses=documented(NotFound, KeyInFlight, KeyReused),
)
async def duplicate(
    mailing_id: MailingId, wanted: Duplicate, database: DatabaseDep, origin: OriginDep, keyed: KeyedRequestDep
) -> MailingOut | Response:
    """Create a mailing with the fields of this one, whatever its state, and with new times.

    Other fields in the body replace those of this mailing.
    """
    if keyed is not None:
        answer = await database.transaction(create_once, keyed, copies.duplicate, mailing_id, wanted, origin)
        return created_response(answer, "mailing")
    mailing = await database.transaction(copies.duplicate, mailing_id, wanted, origin)
    observer.resource_created(mailing_id=mailing.id)
    return mailing
