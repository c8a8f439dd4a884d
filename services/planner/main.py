"""Wiring of the planner: its loops and consumers over one database and one broker."""

import asyncio
from datetime import timedelta

from aio_pika.abc import AbstractChannel

from services.planner.beacon import Beacon
from services.planner.consumers import ReportConsumer, Session, StopsResponder, consume_events
from services.planner.loops import PlannerLoops
from services.planner.metrics import LEDGER, set_provider_rate
from services.planner.observer import PlannerObserver
from services.planner.settings import PlannerSettings
from services.planner.survey import Surveyor
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.clock import CLOCK
from shared.contracts import Event
from shared.database.clock import following_clock
from shared.database.engine import Timeouts, open_engine
from shared.ledger.migrations import check_schema
from shared.lifecycle import repeat, run_loops, wait_for_any
from shared.telemetry.health_server import serve_health, succeeds

# If this planner is frozen, its locks and the queue of reports go to another one within some seconds. All its
# transactions are short, and it repeats those that PostgreSQL ends.
TIMEOUTS = Timeouts(lock=timedelta(seconds=2), idle=timedelta(seconds=2))
HEARTBEAT = 2  # seconds; RabbitMQ gives up a consumer that is silent for two to three of them


async def run_planner(settings: PlannerSettings, stopping: asyncio.Event) -> None:
    """Run a planner until `stopping` is set."""
    name = f"planner@{settings.host_name}"
    observer = PlannerObserver(settings.message_sample())
    engine = open_engine(settings.database_url, name, timeouts=TIMEOUTS)
    publisher = Publisher(settings.broker_url, f"{name} publisher")
    surveyor = Surveyor(engine, observer)
    loops = PlannerLoops(settings, engine, publisher, observer)
    reports = ReportConsumer(loops.record, publisher, observer)
    beacon_publisher = Publisher(settings.broker_url, f"{name} beacon")
    beacon = Beacon(engine, beacon_publisher, observer)
    stops = StopsResponder(engine, publisher, settings.lease + settings.lease_margin, observer)

    async def consume(queue: str, session: Session) -> None:
        await run_sessions(settings.broker_url, f"{name} {queue}", session, stopping, heartbeat=HEARTBEAT)

    def on_event(event: Event) -> None:
        loops.on_event(event)
        beacon.wake.set()

    async def take_confirmations(channel: AbstractChannel) -> None:
        await beacon.take_confirmations(channel, stopping)

    async def take_events(channel: AbstractChannel) -> None:
        await consume_events(channel, on_event, publisher, stopping)

    async def answer_questions(channel: AbstractChannel) -> None:
        await stops.consume(channel, stopping)

    async def take_reports(channel: AbstractChannel) -> None:
        await reports.consume(channel, stopping)

    async def check_readiness() -> dict[str, bool]:
        servers = {"database": await succeeds(check_schema(engine)), "broker": await succeeds(publisher.ping())}
        return servers | {"clock": not CLOCK.is_host_wrong}

    async def survey_ledger() -> None:
        LEDGER.survey = await surveyor.survey()

    observer.planner_started(settings.host_name)
    set_provider_rate(settings.provider_rate)
    try:
        async with (
            serve_health("planner", settings, check_readiness, survey_ledger),
            following_clock(engine) as clock_compared,
        ):
            await wait_for_any(clock_compared, stopping)
            await run_loops(
                stopping,
                repeat("beacon", beacon.send, stopping),
                repeat("stops", beacon.read_stops, stopping, beacon.wake),
                consume("confirmations", take_confirmations),
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
        await beacon_publisher.close()
        await engine.dispose()
        observer.planner_stopped()
