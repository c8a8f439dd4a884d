"""/api/message/: single messages, down to each attempt."""

from typing import Annotated

import structlog
from fastapi import APIRouter, Query
from starlette.responses import Response

from services.api import express, messages
from services.api.bodies import StrictJsonRoute
from services.api.idempotency import once
from services.api.problems import documented
from services.api.refusals import Invalid, KeyInFlight, KeyReused, NotFound
from services.api.routes.asking import After, AskedNumber, Limit, MessageId, OnDatabase, RequestId
from services.api.routes.repeating import Keyed, created
from services.api.schemas import HistoryPage, Id, MessageDetail, MessageIn
from shared.contracts import INT64_MAX

router = APIRouter(prefix="/api/message", tags=["messages"], route_class=StrictJsonRoute)


@router.post(
    "/",
    status_code=201,
    response_model=MessageDetail,
    summary="Send one message",
    responses=documented(NotFound, KeyInFlight, KeyReused),
)
async def create(
    new: MessageIn, database: OnDatabase, request_id: RequestId, keyed: Keyed
) -> MessageDetail | Response:
    """At once, to a client or to any number. It belongs to no mailing; ask for it by its id."""
    if keyed is not None:
        return created(await database.transaction(once, keyed, express.create, new, request_id), "message")
    message = await database.transaction(express.create, new, request_id)
    structlog.contextvars.bind_contextvars(message_id=message.id)
    if message.client_id is not None:
        structlog.contextvars.bind_contextvars(client_id=message.client_id)
    return message


@router.get("/", summary="List what concerned a person", responses=documented(NotFound))
async def history(
    database: OnDatabase,
    number: AskedNumber = None,
    client: Annotated[Id | None, Query(description="a client's id, instead of a number")] = None,
    limit: Limit = 100,
    after: After = None,
) -> HistoryPage:
    """Every message to a number or a client, newest first: what, when, its status and why, and each attempt."""
    if (number is None) == (client is None):
        raise Invalid("number", "or client must be given, and not both")
    return await database.statement(
        messages.history, client_id=client, number=number, before=after or INT64_MAX, limit=limit
    )


@router.get("/{message_id}/", summary="Show a message with its attempts", responses=documented(NotFound))
async def find(message_id: MessageId, database: OnDatabase) -> MessageDetail:
    """Every POST to the provider, or the reason for none, oldest first."""
    return await database.statement(messages.find, message_id)
