"""Routes of GET /api/message/."""

from typing import Annotated

from fastapi import APIRouter, Query

from services.api.edge.dependencies import DatabaseDep, MessageId, NumberQuery
from services.api.edge.ids import Digits
from services.api.edge.pages import After, Limit
from services.api.edge.problems import documented
from services.api.edge.refusals import Invalid, NotFound
from services.api.edge.strict_json import StrictJsonRoute
from services.api.messages import queries
from services.api.messages.schemas import HistoryPage, MessageDetail
from shared.contracts import INT64_MAX

router = APIRouter(prefix="/api/message", tags=["messages"], route_class=StrictJsonRoute)


@router.get("/", summary="List all messages to a person", responses=documented(NotFound))
async def history(
    database: DatabaseDep,
    number: NumberQuery = None,
    client: Annotated[
        int | None,
        Query(ge=1, le=INT64_MAX, description="A client's id, instead of a phone number."),
        Digits,
    ] = None,
    limit: Limit = 100,
    after: After = None,
) -> HistoryPage:
    """List every message to a phone number or to a client, newest first.

    Each item has the text, the times, the status with its reason, and every attempt. Give either `number` or
    `client`.
    """
    if (number is None) == (client is None):
        raise Invalid("number", "or client must be given, and not both")
    return await database.statement(
        queries.history, client_id=client, number=number, before=after or INT64_MAX, limit=limit
    )


@router.get("/{message_id:id}/", summary="Show a message with its attempts", responses=documented(NotFound))
async def find(message_id: MessageId, database: DatabaseDep) -> MessageDetail:
    """Return a message with every POST to the provider, or the reason why there was none, oldest first."""
    return await database.statement(queries.find, message_id)
