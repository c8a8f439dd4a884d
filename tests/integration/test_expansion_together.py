"""Mailings that start together are expanded together, each to its own audience."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.expansion import BatchSizes, expand_batches
from shared.contracts import utc_now
from shared.database.transactions import transaction
from tests.integration.ledger import add_clients, add_mailing, counters, query

SIZES = BatchSizes(chunk=10, batch=10_000)


async def test_mailings_that_start_together_get_their_own_messages_and_jobs(engine: AsyncEngine) -> None:
    await add_clients(engine, 25)
    await add_clients(engine, 50, tag="#other", first=79_060_000_000)
    plain, other, nobody, slow, windowed = [
        await add_mailing(engine, tag=tag) for tag in ("#t", "#other", "#nobody", "#t", "#t")
    ]
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE mailings SET rate = 1 WHERE id = :id"), {"id": slow})
        window = text("UPDATE mailings SET window_from = '00:00', window_until = '23:59' WHERE id = :id")
        await connection.execute(window, {"id": windowed})
    made = await expand_batches(engine, [plain, other, nobody, slow, windowed], SIZES, now=utc_now())
    assert {mailing: tuple(progress) for mailing, progress in made.items()} == {
        plain: (25, True),
        other: (40, False),  # the first batch of a mailing has four jobs
        nobody: (0, True),
        slow: (4, False),  # of one message each, because of its rate
        windowed: (25, True),
    }
    jobs = await query(
        engine,
        "SELECT mailing_id, count(*), max(size), max(zone) FROM jobs GROUP BY mailing_id ORDER BY mailing_id",
    )
    assert jobs == [
        (plain, 3, 9, None),
        (other, 4, 10, None),
        (slow, 4, 1, None),
        (windowed, 3, 9, "Europe/Moscow"),
    ]
    strangers = await query(
        engine,
        "SELECT count(*) FROM messages JOIN jobs ON jobs.id = job_id JOIN clients ON clients.id = client_id"
        " JOIN mailings ON mailings.id = messages.mailing_id"
        " WHERE jobs.mailing_id <> messages.mailing_id OR filter -> 'tag' ->> 0 <> tag",
    )
    assert strangers == [(0,)]
    rest = await expand_batches(engine, [other, slow], SIZES, now=utc_now())
    assert rest == {other: (10, True), slow: (21, True)}
    assert await counters(engine, other) == {"new": 50}
    assert await counters(engine, slow) == {"new": 25}
