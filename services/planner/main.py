"""The planner's wiring: four loops over one database, and what wakes them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from aio_pika.abc import AbstractChannel

from services.planner import expansion, listening, reaping, recording, release, retrying
from services.planner.metrics import (
    AGAIN,
    BATCH_REPORTS,
    BATCH_RESULTS,
    LEDGER,
    RECORD_DURATION,
    set_provider_rate,
)
from services.planner.settings import PlannerSettings
from services.planner.spans import trace_event, trace_reports
from services.planner.survey import Surveyor
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.contracts import RECLAIM_HEADERS, Event, Reclaim, Report, utc_now
from shared.database.engine import open_engine
from shared.database.transactions import ping
from shared.errors import MailingError
from shared.lifecycle import repeat, run_loops
from shared.telemetry.health_server import serve_health
from shared.topology import REPORTS, SENDER_JOBS

log = structlog.get_logger()

MakeJobs = Callable[..., Awaitable[object | None]]  # None: there is nothing to do

SLOW_POLL = 1.0  # seconds: the safety net under all wake-ups
RELEASE_POLL = 0.1
RELEASE_PAUSE = 0.02  # between turns that found work, so that jobs go out in handfuls
SENDERS_POLL = 0.5


async def run_planner(settings: PlannerSettings, stopping: asyncio.Event) -> None:
    """Runs until `stopping` is set."""
    planner = _Planner(settings, stopping)
    name = f"planner@{settings.host_name}"

    async def sessions(what: str, session: listening.Session) -> None:
        await run_sessions(settings.broker_url, f"{name} {what}", session, stopping)

    log.info("planner_started", host=settings.host_name)
    set_provider_rate(settings.provider_rate)
    try:
        async with serve_health("planner", settings, planner.readiness, planner.survey):
            await run_loops(
                stopping,
                repeat("expand", planner.expand, stopping, planner.wake_expansion),
                repeat("release", planner.release, stopping, planner.wake_release),
                repeat("reap", planner.reap, stopping),
                sessions("events", planner.hear),
                sessions("questions", planner.answer),
                sessions("reports", planner.take_reports),
            )
    finally:
        await planner.close()
        log.info("planner_stopped")


class _Planner:
    """The loops' steps, with what they share: the database, the publisher, and the wake-up calls."""

    def __init__(self, settings: PlannerSettings, stopping: asyncio.Event) -> None:
        self._settings = settings
        self._sample = settings.message_sample()
        self._stopping = stopping
        name = f"planner@{settings.host_name}"
        self._engine = open_engine(settings.database_url, name)
        self._publisher = Publisher(settings.broker_url, f"{name} publisher")
        self._surveyor = Surveyor(self._engine)
        self._senders_seen_at = float("-inf")
        self.wake_expansion = asyncio.Event()
        self.wake_release = asyncio.Event()

    async def expand(self) -> float:
        """A batch of every mailing that is due, or has something to retry; then sleeps until the next start."""
        sizes = {"chunk": self._settings.chunk_size, "batch": self._settings.expand_batch}
        due = await expansion.due_mailings(self._engine, utc_now())
        asked = await retrying.mailings_asked(self._engine)
        work: list[tuple[MakeJobs, int]] = [(expansion.expand_batch, mailing_id) for mailing_id in due]
        work += [(retrying.retry_batch, mailing_id) for mailing_id in asked]
        worked = False
        for make_jobs, mailing_id in work:
            if await make_jobs(self._engine, mailing_id, **sizes, now=utc_now()) is not None:
                worked = True
                self.wake_release.set()
        if worked:
            return 0
        wait = await expansion.until_next_start(self._engine, utc_now())
        return SLOW_POLL if wait is None else min(max(wait / timedelta(seconds=1), 0.001), SLOW_POLL)

    async def release(self) -> float:
        """What the senders have room for, if there are any."""
        if not await self._senders_are_there():
            return SENDERS_POLL
        released = await release.release(self._engine, self._publisher, self._settings, now=utc_now())
        if released:
            await asyncio.sleep(RELEASE_PAUSE)
            return 0
        return RELEASE_POLL

    async def reap(self) -> float:
        """A slow round; the next at once while there is much to do."""
        turn = reaping.Turn(self._engine, self._settings, utc_now())
        if await reaping.has_overdue_jobs(turn):
            await self._ask_to_reclaim(turn)
        return 0 if await reaping.reap(turn) else SLOW_POLL

    async def hear(self, channel: AbstractChannel) -> None:
        await listening.hear_events(channel, self._wake, self._publisher, self._stopping)

    async def answer(self, channel: AbstractChannel) -> None:
        memory = self._settings.lease + self._settings.lease_margin
        await listening.answer_questions(channel, self._engine, self._publisher, memory, self._stopping)

    async def take_reports(self, channel: AbstractChannel) -> None:
        await listening.take_reports(channel, self._record, self._publisher, self._stopping)

    async def readiness(self) -> dict[str, bool]:
        """Whether it has what it works with."""
        return {"database": await _succeeds(ping(self._engine)), "broker": await _succeeds(self._publisher.ping())}

    async def survey(self) -> None:
        """Lets the metrics tell of the ledger as it is now."""
        LEDGER.survey = await self._surveyor.look()

    async def close(self) -> None:
        await self._surveyor.close()
        await self._publisher.close()
        await self._engine.dispose()

    async def _record(self, received: list[listening.Received]) -> None:
        if reports := [one for one in received if isinstance(one, Report)]:
            await self._record_reports(reports)
        if overdue := [one.before for one in received if isinstance(one, Reclaim)]:
            await reaping.reclaim(reaping.Turn(self._engine, self._settings, utc_now()), max(overdue))
        self.wake_release.set()

    async def _record_reports(self, reports: list[Report]) -> None:
        began = time.time()
        with RECORD_DURATION.time():
            recorded = await recording.record(
                self._engine,
                reports,
                now=utc_now(),
                policy=self._settings.policy(),
                chunk=self._settings.chunk_size,
                sample=self._sample,
            )
        AGAIN.inc(recorded.again)
        BATCH_REPORTS.observe(len(reports))
        BATCH_RESULTS.observe(sum(report.count_outcomes() for report in reports))
        log.debug("reports_recorded", **recording.describe(recorded, len(reports)))
        trace_reports(reports, began)

    async def _ask_to_reclaim(self, turn: reaping.Turn) -> None:
        """Enqueue a reclaim behind all earlier reports.

        Right after the broker came back, the senders may still have to publish theirs.
        """
        if self._publisher.connected_for() > self._settings.redelivery_grace:
            before = turn.now - self._settings.lease_margin
            body = Reclaim(before=before).model_dump_json().encode()
            await self._publisher.publish(REPORTS, "report", body, headers={**RECLAIM_HEADERS})

    async def _senders_are_there(self) -> bool:
        """Jobs for nobody would only grow old in the queue; looked at twice a second."""
        now = asyncio.get_running_loop().time()
        if now - self._senders_seen_at < SENDERS_POLL:
            return True
        if await self._publisher.count_consumers(SENDER_JOBS) == 0:
            return False
        self._senders_seen_at = now
        return True

    def _wake(self, event: Event) -> None:
        log.info("event_heard", kind=event.kind, mailing_id=event.mailing_id, request_id=event.request_id)
        trace_event(event)
        self.wake_expansion.set()
        self.wake_release.set()


async def _succeeds(question: Awaitable[None]) -> bool:
    try:
        await question
    except MailingError:
        return False
    return True
