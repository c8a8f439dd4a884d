"""/api/message/: single messages, down to each attempt."""

from fastapi import APIRouter

from services.api import messages
from services.api.problems import documented
from services.api.refusals import NotFound
from services.api.routes.asking import MessageId, OnDatabase
from services.api.schemas import MessageDetail

router = APIRouter(prefix="/api/message", tags=["messages"])


@router.get("/{message_id}/", summary="Show a message with its attempts", responses=documented(NotFound))
async def find(message_id: MessageId, database: OnDatabase) -> MessageDetail:
    """Every POST to the provider, or the reason for none, oldest first."""
    return await database.statement(messages.find, message_id)
