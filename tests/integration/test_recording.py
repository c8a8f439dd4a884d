"""The planner's ledger on a real database: expansion, release of jobs, and what reports do to it."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import LogCapture

from services.planner import reaping, recording
from services.planner.expansion import expand_batch
from services.planner.recorded import RecordedReports
from services.planner.release import put_back
from services.planner.settings import PlannerSettings
from shared.contracts import Acceptance, Attempt, Job, JobReport, Outcome, Report, Result, ReturnReason, utc_now
from shared.database.transactions import transaction
from shared.ledger.jobs import mark_delivered
from tests.integration.ledger import add_clients, add_mailing, counters, expand_all, query, told_of
from tests.integration.ledger import claim as claim_jobs

NOW_MS = 1_790_000_000_000


async def claim(engine: AsyncEngine, mailing_id: int, messages: int) -> list[Job]:
    """Jobs as they are handed to the publisher."""
    now = utc_now()
    async with transaction(engine) as connection:
        jobs = await claim_jobs(connection, {mailing_id: messages}, now + timedelta(minutes=1), now)
    return sorted(jobs, key=lambda job: job.job_id)


def said(job: Job, *results: Result, accepted: tuple[Acceptance, ...] = (), release: int | None = None) -> Report:
    part = JobReport(
        job_id=job.job_id,
        release=job.release if release is None else release,
        mailing_id=job.mailing_id,
        accepted=accepted,
        results=results,
    )
    return Report(sender="sender@test", jobs=(part,))


def all_accepted(job: Job, *, at_ms: int = NOW_MS) -> tuple[Acceptance, ...]:
    return tuple(Acceptance(message.id, at_ms, 3) for message in job.messages)


def result(
    message_id: int, outcome: Outcome, *, at_ms: int = NOW_MS, reason: ReturnReason | None = None
) -> Result:
    tried = outcome in {Outcome.DEFERRED, Outcome.UNCERTAIN, Outcome.REJECTED, Outcome.ACCEPTED}
    attempts = (Attempt(NOW_MS, 5, outcome, 503, "busy"),) if tried else ()
    return Result(message_id=message_id, outcome=outcome, attempts=attempts, reason=reason)


async def record(engine: AsyncEngine, settings: PlannerSettings, *reports: Report) -> RecordedReports:
    return await recording.record(
        engine, reports, now=utc_now(), policy=settings.policy(), chunk=settings.chunk_size
    )


async def test_every_client_of_the_audience_gets_one_message(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 95)
    await add_clients(engine, 5, tag="#other", first=79_060_000_000)
    mailing = await add_mailing(engine)
    assert await expand_all(engine, mailing, settings) == 95
    assert await counters(engine, mailing) == {"new": 95}
    sizes = await query(engine, "SELECT size, open FROM jobs ORDER BY size DESC")
    assert sizes == [(10, 10)] * 5 + [(9, 9)] * 5, "as few jobs as can be, of like sizes"
    missing = await query(
        engine, "SELECT id FROM clients WHERE tag = '#t' AND id NOT IN (SELECT client_id FROM messages)"
    )
    assert missing == []


async def test_a_filter_needs_every_field_and_any_of_its_values(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 3, tag="#a", first=79_050_000_000)
    await add_clients(engine, 4, tag="#b", first=79_060_000_000)
    await add_clients(engine, 5, tag="#c", first=79_060_000_100)
    mailing = await add_mailing(engine)
    async with transaction(engine) as connection:
        await connection.exec_driver_sql(
            "UPDATE mailings SET filter = %s::jsonb", ('{"tag": ["#a", "#b"], "code": [906, 907]}',)
        )
    assert await expand_all(engine, mailing, settings) == 4


async def test_a_mailing_does_not_start_early(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await add_clients(engine, 3)
    mailing = await add_mailing(engine, starts_in=timedelta(seconds=30))
    with pytest.raises(AssertionError, match="nobody else"):
        await expand_all(engine, mailing, settings)
    assert await counters(engine, mailing) == {}
    assert await expand_all(engine, mailing, settings, now=utc_now() + timedelta(seconds=31)) == 3


async def test_a_client_added_after_the_start_is_not_in_the_audience(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 60)
    mailing = await add_mailing(engine)
    first = await first_batch(engine, mailing, settings)
    await add_clients(engine, 7, first=79_070_000_000)
    rest = await expand_all(engine, mailing, settings)
    assert first + rest == 60


async def first_batch(engine: AsyncEngine, mailing: int, settings: PlannerSettings) -> int:
    progress = await expand_batch(engine, mailing, chunk=10, batch=1_000, now=utc_now())
    assert progress is not None
    assert not progress.is_complete
    assert progress.messages == 40, "the first batch is small"
    return progress.messages


async def test_accepted_messages_are_sent_and_their_job_is_done(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 20)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    job, other = await claim(engine, mailing, 20)
    assert await counters(engine, mailing) == {"active": 20}
    await record(engine, settings, said(job, accepted=all_accepted(job)))
    assert await counters(engine, mailing) == {"active": 10, "sent": 10}
    assert await query(engine, "SELECT state::text, open, sender FROM jobs WHERE id = :id", id=job.job_id) == [
        ("done", 0, "sender@test")
    ]
    assert await query(engine, "SELECT count(*) FROM attempts") == [(0,)], "a plain acceptance needs no row"
    assert other.release == 1


async def test_a_report_that_comes_twice_changes_nothing(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    ids = [message.id for message in job.messages]
    report = said(
        job,
        result(ids[0], Outcome.REJECTED),
        result(ids[1], Outcome.DEFERRED),
        result(ids[2], Outcome.RETURNED, reason=ReturnReason.SHUTDOWN),
        accepted=all_accepted(job)[3:],
    )
    await record(engine, settings, report)
    first = await counters(engine, mailing)
    assert first == {"failed": 1, "new": 2, "sent": 7}
    await record(engine, settings, report, report)
    assert await counters(engine, mailing) == first
    assert await query(engine, "SELECT outcome FROM attempts ORDER BY message_id") == [
        ("rejected",),
        ("deferred",),
    ]


async def test_deferred_messages_wait_in_a_new_job_and_keep_their_story(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    await record(engine, settings, said(job, *(result(m.id, Outcome.DEFERRED) for m in job.messages)))
    assert await claim(engine, mailing, 10) == [], "not due yet"
    await query_update(engine, "UPDATE jobs SET due_at = now() WHERE state = 'planned'")
    (again,) = await claim(engine, mailing, 10)
    assert again.job_id != job.job_id
    await record(engine, settings, said(again, accepted=all_accepted(again, at_ms=NOW_MS + 5_000)))
    assert await counters(engine, mailing) == {"sent": 10}
    stories = await query(engine, "SELECT array_agg(outcome ORDER BY at) FROM attempts GROUP BY message_id")
    assert stories == [(["deferred", "accepted"],)] * 10


async def query_update(engine: AsyncEngine, statement: str) -> None:
    async with transaction(engine) as connection:
        await connection.exec_driver_sql(statement)


async def test_an_acceptance_that_comes_late_is_recorded_whatever_the_jobs_fate(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    back = (result(m.id, Outcome.RETURNED, reason=ReturnReason.REDELIVERED) for m in job.messages)
    await record(engine, settings, said(job, *back))
    assert await counters(engine, mailing) == {"new": 10}
    await record(engine, settings, said(job, accepted=all_accepted(job)[:9]))
    assert await counters(engine, mailing) == {"new": 1, "sent": 9}
    assert await claim(engine, mailing, 10) == [], "the rest waits for the grace to pass"


async def test_a_report_of_an_older_release_cannot_touch_the_new_one(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    await put_back(engine, [job], utc_now())
    (again,) = await claim(engine, mailing, 10)
    assert (again.job_id, again.release) == (job.job_id, 2)
    late = (result(m.id, Outcome.DEFERRED) for m in job.messages)
    await record(engine, settings, said(job, *late))
    assert await counters(engine, mailing) == {"active": 10}
    await record(engine, settings, said(again, accepted=all_accepted(again)))
    assert await counters(engine, mailing) == {"sent": 10}


async def test_in_one_batch_the_providers_acceptance_outweighs_a_return(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    back = (result(m.id, Outcome.RETURNED, reason=ReturnReason.REDELIVERED) for m in job.messages)
    await record(engine, settings, said(job, *back), said(job, accepted=all_accepted(job)))
    assert await counters(engine, mailing) == {"sent": 10}


async def test_only_what_a_sender_noted_as_begun_ends_as_uncertain(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    """The job comes back redelivered: first the reports of its sender are waited for, then the notes decide."""
    once = settings.model_copy(update={"provider_idempotent": False})
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, once)
    (job,) = await claim(engine, mailing, 10)
    note = said(job)
    noted = note.jobs[0].model_copy(update={"begun_to": job.messages[4].id})
    stale = noted.model_copy(update={"begun_to": job.messages[9].id, "release": job.release + 1})
    await record(engine, once, note.model_copy(update={"jobs": (noted, stale)}))
    back = (result(m.id, Outcome.RETURNED, reason=ReturnReason.REDELIVERED) for m in job.messages)
    await record(engine, once, said(job, *back))
    assert await counters(engine, mailing) == {"active": 10}
    await record(engine, once, said(job, accepted=all_accepted(job)[:2]))
    now = utc_now()
    early = reaping.ReapRound(engine, once, now + once.redelivery_grace - timedelta(seconds=1))
    assert not await reaping.has_overdue_jobs(early)
    late = reaping.ReapRound(engine, once, now + once.redelivery_grace + timedelta(seconds=1))
    assert await reaping.has_overdue_jobs(late)
    await reaping.reclaim(late, late.now - once.lease_margin)
    assert await counters(engine, mailing) == {"sent": 2, "uncertain": 3, "new": 5}
    (again,) = await claim(engine, mailing, 10)
    assert again.messages == job.messages[5:]


async def test_reports_about_messages_that_do_not_exist_are_ignored(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    nowhere = JobReport(
        job_id=10**12,
        release=1,
        mailing_id=1,
        accepted=(Acceptance(10**12, NOW_MS, 1),),
        results=(Result(message_id=10**12 + 1, outcome=Outcome.RETURNED),),
    )
    recorded = await record(engine, settings, Report(sender="s", jobs=(nowhere,)))
    assert recorded.again == 0
    assert not recorded.settled


async def test_a_job_nobody_reported_on_is_released_again_after_its_lease(
    engine: AsyncEngine, settings: PlannerSettings, lines: LogCapture
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine, request_id="order-7")
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    later = utc_now() + timedelta(minutes=5)
    turn = reaping.ReapRound(engine, settings, later)
    assert not await reaping.has_overdue_jobs(reaping.ReapRound(engine, settings, utc_now()))
    assert await reaping.has_overdue_jobs(turn)
    await reaping.reclaim(turn, utc_now() - timedelta(minutes=1))
    assert await counters(engine, mailing) == {"active": 10}, "its lease was not over at that instant"
    await reaping.reclaim(turn, later)
    assert await counters(engine, mailing) == {"new": 10}
    (again,) = await claim(engine, mailing, 10)
    assert (again.job_id, again.release) == (job.job_id, 2)
    *_, told = told_of(mailing, lines)
    assert told == {
        "event": "lease_expired",
        "log_level": "warning",
        "mailing_id": mailing,
        "job_id": job.job_id,
        "request_id": "order-7",
        "open": 10,
    }


@pytest.mark.parametrize(("delivered", "end"), [(True, "uncertain"), (False, "new")])
async def test_for_a_provider_that_may_not_be_asked_twice_a_lost_job_is_uncertain_if_rabbitmq_had_it(
    engine: AsyncEngine, settings: PlannerSettings, delivered: bool, end: str
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    if delivered:
        async with transaction(engine) as connection:
            await mark_delivered(connection, {job.job_id: job.release})
    once = settings.model_copy(update={"provider_idempotent": False})
    later = utc_now() + timedelta(minutes=5)
    await reaping.reclaim(reaping.ReapRound(engine, once, later), later)
    assert await counters(engine, mailing) == {end: 10}


async def test_at_the_end_what_was_not_released_expires_and_the_mailing_finishes(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 30)
    mailing = await add_mailing(engine, lasts=timedelta(minutes=1))
    await expand_all(engine, mailing, settings)
    job, *_ = await claim(engine, mailing, 10)
    turn = reaping.ReapRound(engine, settings, utc_now() + timedelta(minutes=2))
    await reaping.reap(turn)
    assert await counters(engine, mailing) == {"active": 10, "expired": 20}
    await record(engine, settings, said(job, accepted=all_accepted(job)))
    await reaping.reap(turn)
    assert await query(engine, "SELECT state::text FROM mailings") == [("finished",)]


async def test_a_message_whose_client_is_gone_is_canceled_and_not_sent(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 10)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    await query_update(engine, "DELETE FROM clients WHERE number <= 79050000003")
    (job,) = await claim(engine, mailing, 10)
    assert [message.number for message in job.messages] == [79_050_000_000 + n for n in range(4, 10)]
    assert await counters(engine, mailing) == {"active": 6, "canceled": 4}


async def test_a_canceled_mailing_keeps_what_was_sent_and_cancels_the_rest(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 30)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    (job,) = await claim(engine, mailing, 10)
    await query_update(engine, "UPDATE mailings SET state = 'canceled'")
    turn = reaping.ReapRound(engine, settings, utc_now())
    await reaping.reap(turn)
    assert await counters(engine, mailing) == {"active": 10, "canceled": 20}
    ids = [message.id for message in job.messages]
    back = (result(i, Outcome.RETURNED, reason=ReturnReason.STOPPED) for i in ids[5:])
    await record(engine, settings, said(job, *back, accepted=all_accepted(job)[:5]))
    assert await counters(engine, mailing) == {"canceled": 25, "sent": 5}
    assert await claim(engine, mailing, 30) == []


async def test_a_deleted_mailing_leaves_no_rows_once_no_sender_can_hold_it(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await add_clients(engine, 30)
    mailing = await add_mailing(engine)
    await expand_all(engine, mailing, settings)
    await query_update(engine, "UPDATE mailings SET state = 'deleted', stopped_at = now()")
    await reaping.reap(reaping.ReapRound(engine, settings, utc_now()))
    assert await counters(engine, mailing) == {"canceled": 30}
    later = reaping.ReapRound(engine, settings, utc_now() + timedelta(minutes=10))
    await reaping.reap(later)
    assert await query(engine, "SELECT (SELECT count(*) FROM messages), (SELECT count(*) FROM jobs)") == [(0, 0)]
    assert await query(engine, "SELECT count(*) FROM mailings") == [(0,)]
