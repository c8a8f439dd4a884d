"""Wiring of the planner: its loops and consumers over one database and one broker."""

import asyncio
from collections.abc import Awaitable

from aio_pika.abc import AbstractChannel

from services.planner.consumers import ReportConsumer, Session, StopsResponder, consume_events
from services.planner.loops import PlannerLoops
from services.planner.metrics import LEDGER, set_provider_rate
from services.planner.observer import PlannerObserver
from services.planner.settings import PlannerSettings
from services.planner.survey import Surveyor
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.database.engine import open_engine
from shared.database.transactions import ping
from shared.errors import MailingError
from shared.lifecycle import repeat, run_loops
from shared.telemetry.health_server import serve_health


async def run_planner(settings: PlannerSettings, stopping: asyncio.Event) -> None:
    """Run a planner until `stopping` is set."""
    name = f"planner@{settings.host_name}"
    observer = PlannerObserver(settings.message_sample())
    engine = open_engine(settings.database_url, name)
    publisher = Publisher(settings.broker_url, f"{name} publisher")
    surveyor = Surveyor(engine, observer)
    loops = PlannerLoops(settings, engine, publisher, observer)
    reports = ReportConsumer(loops.record, publisher, observer)
    stops = StopsResponder(engine, publisher, settings.lease + settings.lease_margin, observer)

    async def consume(queue: str, session: Session) -> None:
        await run_sessions(settings.broker_url, f"{name} {queue}", session, stopping)

    async def take_events(channel: AbstractChannel) -> None:
        await consume_events(channel, loops.on_event, publisher, stopping)

    async def answer_questions(channel: AbstractChannel) -> None:
        await stops.consume(channel, stopping)

    async def take_reports(channel: AbstractChannel) -> None:
        await reports.consume(channel, stopping)

    async def check_readiness() -> dict[str, bool]:
        return {"database": await _succeeds(ping(engine)), "broker": await _succeeds(publisher.ping())}

    async def survey_ledger() -> None:
        LEDGER.survey = await surveyor.survey()

    observer.planner_started(settings.host_name)
    set_provider_rate(settings.provider_rate)
    try:
        async with serve_health("planner", settings, check_readiness, survey_ledger):
            await run_loops(
                stopping,
                repeat("expand", loops.expand, stopping, loops.wake_expansion),
                repeat("release", loops.release, stopping, loops.wake_release),
                repeat("reap", loops.reap, stopping),
                repeat("fold", loops.fold, stopping),
                consume("events", take_events),
                consume("questions", answer_questions),
                consume("reports", take_reports),
            )
    finally:
        await surveyor.close()
        await publisher.close()
        await engine.dispose()
        observer.planner_stopped()


async def _succeeds(check: Awaitable[None]) -> bool:
    try:
        await check
    except MailingError:
        return False
    return True
