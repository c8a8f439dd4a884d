"""Progress: when messages got their final status, and why."""

from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner import reaping, recording
from services.planner.expansion import expand_batch
from services.planner.settings import PlannerSettings
from shared.contracts import Acceptance, Attempt, JobReport, Outcome, Report, Result, utc_now
from shared.database.transactions import transaction
from shared.ledger.progress import fold_progress
from tests.integration.ledger import add_clients, add_mailing, claim, query

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def change(engine: AsyncEngine, statement: str, **parameters: object) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text(statement), parameters)


async def test_every_final_status_is_counted_by_its_time_and_reason(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 30)
    mailing_id = await add_mailing(engine)
    await expand_batch(engine, mailing_id, chunk=10, batch=100, now=utc_now())
    now = utc_now()
    async with transaction(engine) as connection:
        (job,) = await claim(connection, {mailing_id: 10}, now + timedelta(minutes=1), now)
    *accepted, refused = job.messages
    at_ms = int(now.timestamp() * 1000)
    part = JobReport(
        job_id=job.job_id,
        release=job.release,
        mailing_id=mailing_id,
        accepted=tuple(Acceptance(message.id, at_ms, 3) for message in accepted),
        results=(
            Result(
                message_id=refused.id,
                outcome=Outcome.REJECTED,
                attempts=(Attempt(at_ms, 5, Outcome.REJECTED, 400, "no"),),
            ),
        ),
    )
    for _ in range(2):  # a report that comes twice counts once
        await recording.record(
            engine, [Report(sender="s", jobs=(part,))], now=now, policy=settings.policy(), chunk=10
        )
    await change(engine, "UPDATE mailings SET state = 'canceled' WHERE id = :id", id=mailing_id)
    await reaping.cancel(reaping.ReapRound(engine, settings, now))
    rows = await query(engine, "SELECT status, reason, messages, at FROM progress WHERE mailing_id > 0")
    counted = Counter[tuple[object, object]]()
    for status, reason, messages, at in rows:
        assert isinstance(messages, int)
        assert isinstance(at, datetime)
        assert timedelta(0) <= utc_now() - at < timedelta(minutes=1)
        assert at.timestamp() % 10 == 0
        counted[status, reason] += messages
    assert counted == {("sent", "none"): 9, ("failed", "answer"): 1, ("canceled", "cancel"): 20}


async def test_old_progress_is_folded_and_nothing_is_lost(engine: AsyncEngine, clean_database: None) -> None:
    ages = [timedelta(seconds=10 * step) for step in range(0, 3 * 8640, 7)]  # three days
    ages += [timedelta(days=41, seconds=10 * step) for step in range(200)]
    for status in ("sent", "expired"):
        await change(
            engine,
            "INSERT INTO progress (mailing_id, at, status, messages)"
            " SELECT 5, unnest(CAST(:ats AS timestamptz[])),"
            " CAST(:status AS message_status), 2",
            ats=[NOON - age for age in ages],
            status=status,
        )
    folded = 1
    while folded:
        async with transaction(engine) as connection:
            folded = await fold_progress(connection, NOON, 1000)
    rows = await query(engine, "SELECT at, messages, status FROM progress")
    assert sum(messages for _, messages, _ in rows if isinstance(messages, int)) == 2 * 2 * len(ages)
    for at, _, _ in rows:
        assert isinstance(at, datetime)
        age = NOON - at
        step = 900 if age > timedelta(days=40) else 60 if age > timedelta(days=2) else 10
        assert at.timestamp() % step == 0
    assert sum(NOON - at > timedelta(days=40) for at, *_ in rows if isinstance(at, datetime)) == 2 * 4
