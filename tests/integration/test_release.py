"""Release: within the provider's limit, in spite of lost jobs, and with the mailing as it is at that moment."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from services.api.single_messages import commands as single_messages
from services.api.single_messages.schemas import MessageIn
from services.planner.pacing import AHEAD, LEAD
from services.planner.release import put_back, release
from services.planner.release_shares import COUNTS_FOR
from services.planner.settings import PlannerSettings
from shared.broker.connection import close, connect
from shared.broker.publisher import Publisher
from shared.contracts import JOB, Job, utc_now
from shared.database.transactions import transaction
from shared.ledger.origin import NO_ORIGIN
from shared.topology import SENDER_JOBS
from tests.integration.api_client import eventually
from tests.integration.ledger import add_clients, add_mailing, claim, counters, expand_all, query

NUMBER = 79_050_000_000

pytestmark = pytest.mark.usefixtures("clean_broker")


@pytest.fixture
async def publisher(settings: PlannerSettings) -> AsyncIterator[Publisher]:
    opened = Publisher(settings.broker_url, "tests publisher")
    yield opened
    await opened.close()


async def next_slot_at(engine: AsyncEngine) -> datetime:
    """When the provider's next slot is."""
    ((at,),) = await query(engine, "SELECT to_timestamp(taken_until) FROM paces WHERE mailing_id = 0")
    assert isinstance(at, datetime)
    return at


async def take_jobs(broker_url: str, count: int) -> list[Job]:
    """So many jobs from the senders' queue."""
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    queue = await channel.get_queue(SENDER_JOBS, ensure=False)
    taken = [await eventually(lambda: queue.get(no_ack=True, fail=False)) for _ in range(count)]
    await close(connection)
    return [JOB.validate_json(message.body) for message in taken]


async def test_single_messages_take_no_slots_that_are_far_ahead(
    engine: AsyncEngine, publisher: Publisher, settings: PlannerSettings
) -> None:
    for number in range(120):
        async with transaction(engine) as connection:
            await single_messages.create(
                connection, MessageIn.model_validate({"number": NUMBER + number, "text": "x"}), NO_ORIGIN
            )
    limited = settings.model_copy(update={"provider_rate": 10.0})
    began = utc_now()
    released = 0
    for turn in range(40):
        now = began + timedelta(seconds=turn / 10)
        released += await release(engine, publisher, limited, now=now) or 0
        # One turn's worth beyond, at the most: so no slot comes after its job's lease.
        assert await next_slot_at(engine) <= now + timedelta(seconds=LEAD + AHEAD + 0.2)
    assert 40 <= released <= 48


async def test_jobs_that_may_be_lost_keep_others_from_going_out_for_seconds_only(
    engine: AsyncEngine, publisher: Publisher, settings: PlannerSettings
) -> None:
    await add_clients(engine, 600)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    now = utc_now()
    async with transaction(engine) as connection:  # a planner that dies before it has published anything
        await claim(connection, {mailing: 500}, now + settings.lease, now)
    assert await release(engine, publisher, settings, now=now + COUNTS_FOR / 2) == 0
    least = settings.release_least
    assert await release(engine, publisher, settings, now=now + COUNTS_FOR + timedelta(seconds=1)) == least
    assert await counters(engine, mailing) == {"active": 500 + 10 * least, "new": 100 - 10 * least}


async def test_a_text_that_is_changed_is_that_of_all_that_is_released_from_then_on(
    engine: AsyncEngine, publisher: Publisher, settings: PlannerSettings, broker_url: str, api: httpx.AsyncClient
) -> None:
    await add_clients(engine, 100)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    now = utc_now()
    before = await take_jobs(broker_url, await release(engine, publisher, settings, now=now) or 0)
    (await api.patch(f"/api/mailing/{mailing}/", json={"text": "changed"})).raise_for_status()
    await put_back(engine, before[:1], now)
    after = await take_jobs(broker_url, await release(engine, publisher, settings, now=now + 2 * COUNTS_FOR) or 0)
    assert {job.text for job in before} == {"hello"}
    assert {job.text for job in after} == {"changed"}
    again = {job.job_id for job in before} & {job.job_id for job in after}
    assert again == {before[0].job_id}, "also what had gone out with the old one, and came back"
    assert len(after) > 1
