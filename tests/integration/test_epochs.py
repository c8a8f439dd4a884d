"""Epochs: a ledger that was restored from a backup refuses what it cannot know, and uses no id again."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import LogCapture

from services.planner.conditions import ReleaseConditions
from services.planner.reaping import ReapRound, reclaim
from services.planner.recording import record
from services.planner.release import release
from services.planner.settings import PlannerSettings
from shared.broker.publisher import Publisher
from shared.contracts import STOPS, Acceptance, Job, JobReport, Report, utc_now
from shared.database.transactions import transaction
from shared.ledger.epochs import begin_epoch, find_epoch
from shared.topology import CONTROL
from tests.integration.ledger import add_clients, add_mailing, claim, counters, expand_all, query

NOW = utc_now()
HOUR = timedelta(hours=1)  # the mailings run at NOW, however much later than this module's import a test runs


async def released_job(engine: AsyncEngine, settings: PlannerSettings) -> Job:
    """A job of ten messages that is released in the present epoch."""
    await add_clients(engine, 10)
    mailing = await add_mailing(engine, starts_in=-HOUR, lasts=3 * HOUR)
    await expand_all(engine, mailing, settings, now=NOW)
    async with transaction(engine) as connection:
        (job,) = await claim(connection, {mailing: 10}, NOW + settings.lease, NOW)
        return job.model_copy(update={"epoch": (await find_epoch(connection)).number})


def accepted(job: Job, **changes: int) -> Report:
    """The report that the provider accepted all messages of the job."""
    part = JobReport(
        job_id=job.job_id,
        release=job.release,
        mailing_id=job.mailing_id,
        epoch=job.epoch,
        accepted=tuple(Acceptance(message.id, int(NOW.timestamp() * 1000), 5) for message in job.messages),
    )
    return Report(sender="sender@x:1", jobs=(part.model_copy(update=changes),))


async def recorded(engine: AsyncEngine, settings: PlannerSettings, report: Report) -> None:
    await record(engine, [report], now=NOW, policy=settings.policy(), chunk=settings.chunk_size)


async def test_results_from_before_a_restore_are_refused_and_shown(
    engine: AsyncEngine, settings: PlannerSettings, lines: LogCapture
) -> None:
    job = await released_job(engine, settings)
    async with transaction(engine) as connection:
        epoch = await begin_epoch(connection, NOW, "test")
    await recorded(engine, settings, accepted(job))
    assert await counters(engine, job.mailing_id) == {"active": 10}
    (line,) = [entry for entry in lines.entries if entry["event"] == "results_of_another_epoch"]
    assert (line["results"], line["epoch"]) == (10, epoch)
    # Those of a sender of an older version have no epoch.
    old = accepted(job).jobs[0].model_copy(update={"epoch": None})
    await recorded(engine, settings, Report(sender="sender@x:1", jobs=(old,)))
    assert await counters(engine, job.mailing_id) == {"sent": 10}


async def test_a_result_that_the_ledger_cannot_know_begins_an_epoch(
    engine: AsyncEngine, settings: PlannerSettings, lines: LogCapture
) -> None:
    job = await released_job(engine, settings)
    for unknown in ({"job_id": job.job_id + 1}, {"release": job.release + 1}):
        async with transaction(engine) as connection:
            before = await find_epoch(connection)
        present = job.model_copy(update={"epoch": before.number})
        await recorded(engine, settings, accepted(present, **unknown))
        async with transaction(engine) as connection:
            after = await find_epoch(connection)
        assert after.number > before.number, unknown
        assert after.newest_job >= before.newest_job + 1_000_000_000
    assert await counters(engine, job.mailing_id) == {"active": 10}
    assert [entry["event"] for entry in lines.entries].count("ledger_restored") == 2
    stops = await query(engine, "SELECT body FROM outbox WHERE exchange = :control ORDER BY id", control=CONTROL)
    assert [STOPS.validate_json(bytes_of(body)).epoch for (body,) in stops][-1] == after.number


async def test_a_planner_that_lived_through_a_restore_notices_it_before_it_releases(
    engine: AsyncEngine, settings: PlannerSettings, broker_url: str
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine, starts_in=-HOUR, lasts=3 * HOUR)
    await expand_all(engine, mailing, settings, now=NOW)
    publisher = Publisher(settings.broker_url, "tests publisher")
    conditions = ReleaseConditions(newest_job=1_000)
    try:
        assert await release(engine, publisher, settings, now=NOW, conditions=conditions) == 0
        assert await counters(engine, mailing) == {"new": 10}
        released = await release(engine, publisher, settings, now=NOW, conditions=conditions)
        assert released is not None
        assert released > 0
        assert conditions.epoch > 0
    finally:
        await publisher.close()


async def test_reports_that_were_purged_are_named_in_one_line(
    engine: AsyncEngine, settings: PlannerSettings, lines: LogCapture
) -> None:
    await released_job(engine, settings)
    later = NOW + settings.lease + timedelta(minutes=1)
    await reclaim(ReapRound(engine, settings, later), later)
    (line,) = [entry for entry in lines.entries if entry["event"] == "reports_missing"]
    assert (line["jobs"], line["messages"]) == (1, 10)


def bytes_of(value: object) -> bytes:
    assert isinstance(value, bytes)
    return value
