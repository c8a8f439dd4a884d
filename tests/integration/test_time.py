"""Local windows, retries and limits in the ledger: what is planned for when, and what the senders are given."""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import LogCapture

from services.planner import claiming, planning, reaping, recording, retrying, survey_queries
from services.planner.capacity import Shares
from services.planner.pacing import LEAD, Limit
from services.planner.planning import HOLD
from services.planner.queries import find_mailings_to_retry
from services.planner.release import put_back
from services.planner.settings import PlannerSettings
from services.planner.survey_queries import take_survey
from shared.contracts import Acceptance, Attempt, Job, JobReport, Outcome, Report, Result
from shared.database.transactions import transaction
from shared.zones import find_zone
from tests.integration.ledger import add_clients, add_mailing, counters, expand_all, query, told_of
from tests.integration.ledger import claim as claim_jobs

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
MOSCOW, TOKYO, LIMA = "Europe/Moscow", "Asia/Tokyo", "America/Lima"  # 15:00, 21:00 and 7:00 at noon
MARS = "Mars/Olympus"  # which tzdata does not know
DAY = (time(9), time(21))
REQUEST = "order-7"


async def execute(engine: AsyncEngine, statement: str, **parameters: object) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text(statement), parameters)


async def clients_in(engine: AsyncEngine, *zones: str, each: int = 3) -> None:
    for number, zone in enumerate(zones):
        await add_clients(engine, each, first=79_050_000_000 + 1_000 * number)
        first = 79_050_000_000 + 1_000 * number
        await execute(
            engine,
            "UPDATE clients SET zone = :zone WHERE number BETWEEN :first AND :last",
            zone=zone,
            first=first,
            last=first + 999,
        )


async def mailing_at_noon(
    engine: AsyncEngine,
    settings: PlannerSettings,
    *,
    window: tuple[time, time] | None = DAY,
    lasts: timedelta = timedelta(days=2),
) -> int:
    """Expanded at noon UTC."""
    mailing = await add_mailing(engine, request_id=REQUEST)
    await execute(
        engine,
        "UPDATE mailings SET starts_at = :now, expired_at = :end, window_from = :from, window_until = :until"
        " WHERE id = :id",
        id=mailing,
        now=NOON,
        end=NOON + lasts,
        **{"from": window and window[0], "until": window and window[1]},
    )
    await expand_all(engine, mailing, settings, now=NOON)
    return mailing


async def claim(
    engine: AsyncEngine,
    mailing: int,
    now: datetime,
    *,
    messages: int = 1_000,
    limit: Limit | None = None,
) -> list[Job]:
    limits = {mailing: limit} if limit else {}
    async with transaction(engine) as connection:
        return await claim_jobs(connection, {mailing: messages}, now + timedelta(minutes=1), now, limits)


async def plans(engine: AsyncEngine) -> set[tuple[object, ...]]:
    return set(await query(engine, "SELECT zone, due_at, send_before FROM jobs WHERE state = 'planned'"))


def turn(engine: AsyncEngine, settings: PlannerSettings, now: datetime) -> reaping.ReapRound:
    return reaping.ReapRound(engine, settings, now)


def at(hour: int, *, day: int = 4) -> datetime:
    return datetime(2026, 5, day, hour, tzinfo=UTC)


async def record(
    engine: AsyncEngine, settings: PlannerSettings, jobs: Sequence[Job], outcome: Outcome, now: datetime
) -> None:
    """The senders say the same of all messages."""
    at_ms = int(now.timestamp() * 1000)
    parts = []
    for job in jobs:
        if outcome is Outcome.ACCEPTED:
            accepted = tuple(Acceptance(message.id, at_ms, 3) for message in job.messages)
            parts.append(
                JobReport(job_id=job.job_id, release=job.release, mailing_id=job.mailing_id, accepted=accepted)
            )
            continue
        tried = outcome not in {Outcome.EXPIRED, Outcome.RETURNED}
        attempts = (Attempt(at_ms, 3, outcome, 400, "no"),) if tried else ()
        results = tuple(
            Result(message_id=message.id, outcome=outcome, attempts=attempts) for message in job.messages
        )
        parts.append(JobReport(job_id=job.job_id, release=job.release, mailing_id=job.mailing_id, results=results))
    report = Report(sender="sender@test", jobs=tuple(parts))
    await recording.record(engine, [report], now=now, policy=settings.policy(), chunk=settings.chunk_size)


async def test_each_zone_is_planned_for_its_own_opening(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await clients_in(engine, MOSCOW, TOKYO, LIMA, each=15)
    mailing = await mailing_at_noon(engine, settings)
    assert await plans(engine) == {
        (MOSCOW, NOON, at(18)),
        (LIMA, at(14), at(2, day=5)),
        (TOKYO, at(0, day=5), at(12, day=5)),
    }
    # The first batch is of 40, so it ends in the middle of the last zone; within a batch, jobs are of like sizes.
    sizes = {LIMA: (10, 5), TOKYO: (8, 7), MOSCOW: (8, 7)}
    assert await query(engine, "SELECT zone, size FROM jobs ORDER BY zone, id") == [
        (zone, size) for zone in sizes for size in sizes[zone]
    ]
    assert await counters(engine, mailing) == {"new": 45}


async def test_only_what_is_open_goes_out_and_only_until_it_closes(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW, TOKYO, LIMA)
    mailing = await mailing_at_noon(engine, settings)
    (job,) = await claim(engine, mailing, NOON)
    assert (job.send_before, len(job.messages)) == (at(18), 3)
    (job,) = await claim(engine, mailing, at(14))
    assert job.send_before == at(2, day=5)
    # Past its closing, what was not released is not, until it is planned anew.
    await execute(engine, "UPDATE jobs SET state = 'planned'")
    assert {job.send_before for job in await claim(engine, mailing, at(20))} == {at(2, day=5)}


async def test_a_job_that_was_planned_by_a_window_that_has_changed_goes_by_the_new_one(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW)  # where it is 15:00
    mailing = await mailing_at_noon(engine, settings)
    await execute(engine, "UPDATE mailings SET window_until = '16:00'")  # as if the job were made beside it
    (job,) = await claim(engine, mailing, NOON)
    assert job.send_before == at(13)
    await put_back(engine, [job], NOON)
    await execute(engine, "UPDATE mailings SET window_from = '22:00', window_until = '23:00'")
    assert await claim(engine, mailing, NOON) == []
    assert (MOSCOW, at(19), at(20)) in await plans(engine)
    assert await counters(engine, mailing) == {"new": 3}


async def test_nothing_goes_out_on_a_decision_that_is_older_than_a_stop(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW)
    mailing = await mailing_at_noon(engine, settings)
    await execute(engine, "UPDATE mailings SET starts_at = :later, revision = 1", later=NOON + timedelta(days=1))
    async with transaction(engine) as connection:
        lease_until = NOON + timedelta(minutes=1)
        assert await claiming.claim(connection, Shares({mailing: 1_000}), {mailing: 0}, lease_until, NOON) == []
    assert await counters(engine, mailing) == {"new": 3}


async def test_the_mailings_end_bounds_every_opening(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await clients_in(engine, MOSCOW)
    mailing = await mailing_at_noon(engine, settings, lasts=timedelta(hours=2))
    (job,) = await claim(engine, mailing, NOON)
    assert job.send_before == at(14)


async def test_those_that_close_first_go_first(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await clients_in(engine, LIMA, MOSCOW)  # in the order of their ids, Lima is first
    mailing = await mailing_at_noon(engine, settings)
    (job,) = await claim(engine, mailing, at(15), messages=1)
    assert job.send_before == at(18)


async def test_what_was_not_released_is_planned_for_the_next_opening(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW)
    await mailing_at_noon(engine, settings)
    await reaping.replan(turn(engine, settings, at(18) - timedelta(seconds=1)))
    assert await plans(engine) == {(MOSCOW, NOON, at(18))}
    await reaping.replan(turn(engine, settings, at(18)))
    assert await plans(engine) == {(MOSCOW, at(6, day=5), at(18, day=5))}


async def test_what_comes_back_as_the_window_closes_waits_for_the_next_opening(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW)
    mailing = await mailing_at_noon(engine, settings)
    jobs = await claim(engine, mailing, at(17))
    await record(engine, settings, jobs, Outcome.EXPIRED, at(18) - timedelta(milliseconds=50))
    assert await plans(engine) == {(MOSCOW, at(6, day=5), at(18, day=5))}
    assert await counters(engine, mailing) == {"new": 3}


async def test_a_retry_waits_for_the_window_too(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await clients_in(engine, MOSCOW)
    mailing = await mailing_at_noon(engine, settings)
    jobs = await claim(engine, mailing, at(17))
    await record(engine, settings, jobs, Outcome.DEFERRED, at(18) - timedelta(seconds=2))
    assert await plans(engine) == {(MOSCOW, at(6, day=5), at(18, day=5))}


async def test_a_zone_that_is_not_known_is_held_and_never_sent(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MARS, MOSCOW)
    mailing = await mailing_at_noon(engine, settings, lasts=timedelta(hours=3))
    assert (MARS, NOON + HOLD, NOON + HOLD) in await plans(engine)
    (job,) = await claim(engine, mailing, NOON + HOLD)
    assert job.send_before == at(15), "Moscow's"
    await reaping.replan(turn(engine, settings, NOON + HOLD))
    assert await plans(engine) == {(MARS, NOON + 2 * HOLD, NOON + 2 * HOLD)}
    await reaping.expire(turn(engine, settings, at(15)))
    ends = await query(
        engine, "SELECT status::text, reason::text, count(*) FROM messages GROUP BY 1, 2 ORDER BY 1"
    )
    assert ends == [("expired", "zone", 3), ("new", "none", 3)]


async def test_what_is_held_for_its_zone_is_told_of_and_goes_out_when_the_zone_is_known(
    engine: AsyncEngine, settings: PlannerSettings, lines: LogCapture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await clients_in(engine, MARS, each=15)
    mailing = await mailing_at_noon(engine, settings)
    now = NOON
    for _ in range(3):
        now += HOLD
        assert await claim(engine, mailing, now) == []
        assert (await take_survey(engine, now)).held == 15
        lines.entries.clear()
        await reaping.replan(turn(engine, settings, now))
        assert told_of(mailing, lines) == [
            {
                "event": "zone_unknown",
                "log_level": "warning",
                "mailing_id": mailing,
                "request_id": REQUEST,
                "zone": MARS,
                "held": 15,
            }
        ], "a line, however many jobs there are"
    for module in (planning, survey_queries):  # a newer tzdata
        monkeypatch.setattr(module, "find_zone", lambda name: find_zone(MOSCOW if name == MARS else name))
    await reaping.replan(turn(engine, settings, now + HOLD))
    assert (await take_survey(engine, now)).held == 0
    assert sum(len(job.messages) for job in await claim(engine, mailing, now + HOLD)) == 15


async def test_where_local_time_does_not_matter_no_zone_holds_anything(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MARS)
    mailing = await mailing_at_noon(engine, settings)
    assert (await take_survey(engine, NOON)).held == 3
    await execute(engine, "UPDATE mailings SET window_from = NULL, window_until = NULL")
    await reaping.replan(turn(engine, settings, NOON + HOLD))
    assert (await take_survey(engine, NOON + HOLD)).held == 0
    (job,) = await claim(engine, mailing, NOON + HOLD)
    assert len(job.messages) == 3


async def test_what_is_held_for_its_zone_goes_out_when_its_client_is_given_another(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MARS)
    mailing = await mailing_at_noon(engine, settings)
    await execute(engine, "UPDATE clients SET zone = :zone WHERE id > 1", zone=MOSCOW)
    await reaping.replan(turn(engine, settings, NOON + HOLD))
    assert await claim(engine, mailing, NOON + HOLD) == [], "they are sorted by zone first"
    (job,) = await claim(engine, mailing, NOON + HOLD)
    assert [message.id for message in job.messages] == [2, 3]
    assert job.send_before == at(18)
    assert await plans(engine) == {(MARS, NOON + 2 * HOLD, NOON + 2 * HOLD)}
    assert (await take_survey(engine, NOON + HOLD)).held == 1


async def test_what_never_opened_expires_for_that_reason(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await clients_in(engine, MOSCOW, TOKYO)
    mailing = await mailing_at_noon(engine, settings, lasts=timedelta(hours=3))
    await reaping.expire(turn(engine, settings, at(15)))
    assert await query(
        engine,
        "SELECT zone, status::text, reason::text FROM messages JOIN clients ON clients.id = client_id"
        " GROUP BY 1, 2, 3 ORDER BY 1",
    ) == [(TOKYO, "expired", "window"), (MOSCOW, "expired", "end")]
    assert await counters(engine, mailing) == {"expired": 6}


async def test_if_the_end_is_moved_what_was_to_expire_is_sent(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, TOKYO)
    mailing = await mailing_at_noon(engine, settings, lasts=timedelta(hours=3))
    await execute(engine, "UPDATE mailings SET expired_at = :end", end=at(0, day=6))
    (job,) = await claim(engine, mailing, at(1, day=5))
    assert (len(job.messages), job.send_before) == (3, at(12, day=5))


async def test_a_client_who_moved_is_planned_by_the_new_clock(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW)
    mailing = await mailing_at_noon(engine, settings)
    await execute(engine, "UPDATE clients SET zone = :zone WHERE id = 2", zone=TOKYO)
    (job,) = await claim(engine, mailing, NOON)
    assert len(job.messages) == 2
    assert await plans(engine) == {(TOKYO, at(0, day=5), at(12, day=5))}
    assert await counters(engine, mailing) == {"active": 2, "new": 1}


async def test_a_window_given_in_mid_run_holds_for_the_jobs_that_are_there(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW, TOKYO)
    mailing = await mailing_at_noon(engine, settings, window=None)
    assert await plans(engine) == {(None, NOON, None)}
    await execute(engine, "UPDATE mailings SET window_from = '09:00', window_until = '21:00'")
    assert await claim(engine, mailing, NOON) == [], "they are sorted by zone first"
    (job,) = await claim(engine, mailing, NOON)
    assert (len(job.messages), job.send_before) == (3, at(18))
    assert await counters(engine, mailing) == {"active": 3, "new": 3}


async def test_a_job_that_is_too_large_for_a_limit_is_cut(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await clients_in(engine, MOSCOW, each=10)
    mailing = await mailing_at_noon(engine, settings, window=None)
    (job,) = await claim(engine, mailing, NOON, messages=2, limit=Limit(16))
    assert len(job.messages) == 4
    assert await counters(engine, mailing) == {"active": 4, "new": 6}
    assert await query(engine, "SELECT size FROM jobs WHERE state = 'planned' ORDER BY id") == [(4,), (2,)]


async def test_slots_go_only_to_those_who_are_still_open_then(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, LIMA, MOSCOW, each=10)
    mailing = await mailing_at_noon(engine, settings)
    limit, closes = Limit(100), at(18)  # in Moscow
    now = closes - timedelta(seconds=LEAD) - timedelta(seconds=4.5 * limit.spacing)
    job, other = await claim(engine, mailing, now, limit=limit)
    assert (len(job.messages), job.send_before) == (5, closes), "those who close first come first"
    assert (len(other.messages), other.send_before) == (10, at(2, day=5))
    assert await counters(engine, mailing) == {"active": 15, "new": 5}
    taken = Limit(100, closes.timestamp())
    assert await claim(engine, mailing, now, limit=taken) == [], "the rest waits for its next morning"
    assert await plans(engine) == {(MOSCOW, now, closes)}


async def ask_to_retry(engine: AsyncEngine, mailing: int, *statuses: str, now: datetime) -> None:
    await execute(
        engine,
        "UPDATE mailings SET state = 'running', finished_at = NULL, retry_statuses = :statuses,"
        " retry_ended_by = :now, retried_to = 0, expired_at = :end WHERE id = :id",
        id=mailing,
        statuses=list(statuses),
        now=now,
        end=now + timedelta(days=1),
    )


async def mailings_to_retry(engine: AsyncEngine) -> list[int]:
    async with transaction(engine) as connection:
        return await find_mailings_to_retry(connection)


async def retry_all(engine: AsyncEngine, mailing: int, now: datetime, batch: int = 4) -> int:
    count = 0
    while mailing in await mailings_to_retry(engine):
        done = await retrying.retry_batch(engine, mailing, chunk=3, batch=batch, now=now)
        assert done is not None
        count += done
    return count


async def test_a_retry_puts_back_what_is_asked_for_and_nothing_else(
    engine: AsyncEngine, settings: PlannerSettings, lines: LogCapture
) -> None:
    await clients_in(engine, MOSCOW, each=40)
    mailing = await mailing_at_noon(engine, settings, window=None)
    sent, failed, expired, _ = await claim(engine, mailing, NOON)
    await record(engine, settings, [sent], Outcome.ACCEPTED, NOON)
    await record(engine, settings, [failed], Outcome.REJECTED, NOON)
    await execute(engine, "UPDATE mailings SET expired_at = :now", now=NOON + timedelta(seconds=1))
    await record(engine, settings, [expired], Outcome.EXPIRED, at(13))
    assert await counters(engine, mailing) == {"sent": 10, "failed": 10, "expired": 10, "active": 10}

    await ask_to_retry(engine, mailing, "expired", now=at(14))
    assert await retry_all(engine, mailing, at(14)) == 10
    put_back = [line for line in told_of(mailing, lines) if line["event"] == "messages_put_back"]
    assert sum(line["messages"] for line in put_back if isinstance(line["messages"], int)) == 10
    assert {line["request_id"] for line in put_back} == {REQUEST}
    assert await counters(engine, mailing) == {"sent": 10, "failed": 10, "new": 10, "active": 10}
    assert await retry_all(engine, mailing, at(14)) == 0

    await ask_to_retry(engine, mailing, "expired", "failed", now=at(14))
    assert await retry_all(engine, mailing, at(14)) == 10
    assert await counters(engine, mailing) == {"sent": 10, "new": 20, "active": 10}
    again = await claim(engine, mailing, at(14))
    assert {message.id for job in again for message in job.messages} == {
        message.id for job in (failed, expired) for message in job.messages
    }
    await record(engine, settings, again, Outcome.ACCEPTED, at(14))
    assert await counters(engine, mailing) == {"sent": 30, "active": 10}


async def test_what_ends_after_a_retry_was_asked_for_is_not_part_of_it(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW, each=10)
    mailing = await mailing_at_noon(engine, settings, window=None)
    jobs = await claim(engine, mailing, NOON)
    await record(engine, settings, jobs, Outcome.REJECTED, at(14))
    await ask_to_retry(engine, mailing, "failed", now=at(13))
    assert await retry_all(engine, mailing, at(15)) == 0
    assert await counters(engine, mailing) == {"failed": 10}


async def test_a_retry_is_planned_by_zone_and_cancels_what_is_for_nobody(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW, TOKYO)
    mailing = await mailing_at_noon(engine, settings, lasts=timedelta(hours=1))
    await reaping.expire(turn(engine, settings, at(13)))
    await execute(engine, "DELETE FROM clients WHERE id = 1")
    await ask_to_retry(engine, mailing, "expired", now=at(14))
    assert await retry_all(engine, mailing, at(14)) == 6
    assert {plan for plan in await plans(engine) if plan[0]} == {
        (MOSCOW, at(14), at(18)),
        (TOKYO, at(0, day=5), at(12, day=5)),
    }
    await reaping.replan(turn(engine, settings, at(14)))
    jobs = await claim(engine, mailing, at(14))
    assert sorted(message.id for job in jobs for message in job.messages) == [2, 3]
    assert await counters(engine, mailing) == {"canceled": 1, "active": 2, "new": 3}
    assert await query(engine, "SELECT reason::text FROM messages WHERE client_id = 1") == [("client",)]


async def test_a_mailing_with_something_to_retry_is_not_finished(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    await clients_in(engine, MOSCOW)
    mailing = await mailing_at_noon(engine, settings, window=None)
    await record(engine, settings, await claim(engine, mailing, NOON), Outcome.REJECTED, NOON)
    await ask_to_retry(engine, mailing, "failed", now=at(13))
    await reaping.finish(turn(engine, settings, at(13)))
    assert await query(engine, "SELECT state::text FROM mailings") == [("running",)]
    # Canceled before it came to that, there is nothing to retry any more.
    await execute(engine, "UPDATE mailings SET state = 'canceled'")
    assert await retry_all(engine, mailing, at(13)) == 0
    assert await counters(engine, mailing) == {"failed": 3}
    await reaping.finish(turn(engine, settings, at(13)))
    assert await query(engine, "SELECT finished_at FROM mailings") == [(at(13),)]
