"""/api/message/: single messages, down to each attempt."""

import structlog
from fastapi import APIRouter

from services.api import express, messages
from services.api.bodies import StrictJsonRoute
from services.api.problems import documented
from services.api.refusals import NotFound
from services.api.routes.asking import MessageId, OnDatabase, RequestId
from services.api.schemas import MessageDetail, MessageIn

router = APIRouter(prefix="/api/message", tags=["messages"], route_class=StrictJsonRoute)


@router.post("/", status_code=201, summary="Send one message", responses=documented(NotFound))
async def create(new: MessageIn, database: OnDatabase, request_id: RequestId) -> MessageDetail:
    """At once, to a client or to any number. It belongs to no mailing; ask for it by its id."""
    message = await database.transaction(express.create, new, request_id)
    structlog.contextvars.bind_contextvars(message_id=message.id)
    return message


@router.get("/{message_id}/", summary="Show a message with its attempts", responses=documented(NotFound))
async def find(message_id: MessageId, database: OnDatabase) -> MessageDetail:
    """Every POST to the provider, or the reason for none, oldest first."""
    return await database.statement(messages.find, message_id)
