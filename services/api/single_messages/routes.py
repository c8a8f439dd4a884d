"""Routes of POST /api/message/ and of the tests of a mailing."""

from fastapi import APIRouter
from starlette.responses import Response

from services.api.edge import observer
from services.api.edge.dependencies import DatabaseDep, MailingId, OriginDep
from services.api.edge.idempotency import create_once
from services.api.edge.idempotent_posts import KeyedRequestDep, created_response
from services.api.edge.problems import documented
from services.api.edge.refusals import KeyInFlight, KeyReused, NotFound
from services.api.edge.strict_json import StrictJsonRoute
from services.api.messages.schemas import MessageDetail
from services.api.single_messages import commands, tests
from services.api.single_messages.schemas import MessageIn, TestMessages, TestOrder

router = APIRouter(prefix="/api/message", tags=["messages"], route_class=StrictJsonRoute)

of_mailing = APIRouter(prefix="/api/mailing", tags=["mailings"], route_class=StrictJsonRoute)


@router.post(
    "/",
    status_code=201,
    response_model=MessageDetail,
    summary="Send a single message",
    responses=documented(NotFound, KeyInFlight, KeyReused),
)
async def create(
    new: MessageIn, database: DatabaseDep, origin: OriginDep, keyed: KeyedRequestDep
) -> MessageDetail | Response:
    """Send one message at once, to a client or to any phone number.

    A single message belongs to no mailing. Use its id to follow it.
    """
    if keyed is not None:
        answer = await database.transaction(create_once, keyed, commands.create, new, origin)
        return created_response(answer, "message")
    message = await database.transaction(commands.create, new, origin)
    observer.resource_created(message_id=message.id)
    if message.client_id is not None:
        observer.resource_created(client_id=message.client_id)
    return message


@of_mailing.post("/{mailing_id:id}/test/", summary="Send a test of a mailing", responses=documented(NotFound))
async def send_tests(
    mailing_id: MailingId, wanted: TestOrder, database: DatabaseDep, origin: OriginDep
) -> TestMessages:
    """Send the text of a mailing to up to 10 phone numbers at once, before or after its start.

    Each test is a single message that is marked by `test_of`. It lives for an hour. The mailing does not change,
    and statistics do not count tests. A number on the stop list gets none.
    """
    return await database.transaction(tests.send_tests, mailing_id, wanted, origin)
