"""Wiring of the notifier: its loops over one database, one broker and one SMTP server."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime

from aio_pika.abc import AbstractChannel

from services.notifier.alerts.watcher import Watcher
from services.notifier.forgetting import forget
from services.notifier.mailer import Mailer
from services.notifier.observer import NotifierObserver
from services.notifier.settings import NotifierSettings
from services.notifier.webhooks.dispatcher import LANES, Dispatcher
from services.notifier.webhooks.posting import Poster
from services.notifier.webhooks.wakes import consume_wakes
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.contracts import utc_now
from shared.database.engine import open_engine
from shared.ledger.migrations import check_schema
from shared.lifecycle import repeat, run_loops
from shared.telemetry.health_server import serve_health, succeeds

CLOSING_TIME = 5.0  # seconds for the POSTs under way


async def run_notifier(
    settings: NotifierSettings, stopping: asyncio.Event, clock: Callable[[], datetime] = utc_now
) -> None:
    """Run a notifier until `stopping` is set. `clock` decides which days are over."""
    observer = NotifierObserver()
    name = f"notifier@{settings.host_name}"
    engine = open_engine(settings.database_url, name)
    server = settings.smtp_server()
    loops: list[Awaitable[None]] = [repeat("forget", lambda: forget(engine), stopping)]
    if server is not None:
        mailer = Mailer(settings, server, engine, observer, clock)
        loops.append(repeat("reports", mailer.schedule_reports, stopping))
        loops.append(repeat("mails", mailer.send, stopping))
    publisher = Publisher(settings.broker_url, f"{name} publisher")
    watcher = Watcher(settings, engine, publisher, observer)
    loops.append(repeat("alerts", watcher.step, stopping))
    timeout = settings.webhook_timeout.total_seconds()
    poster = Poster(settings.webhook_allow, timeout, LANES)
    dispatcher = Dispatcher(engine, poster, timeout, observer)
    loops.append(repeat("webhooks", dispatcher.step, stopping, dispatcher.wake))

    async def take_wakes(channel: AbstractChannel) -> None:
        await consume_wakes(channel, dispatcher.wake, stopping)

    loops.append(run_sessions(settings.broker_url, f"{name} wakes", take_wakes, stopping))

    async def check_readiness() -> dict[str, bool]:
        return {"database": await succeeds(check_schema(engine)), "broker": await succeeds(publisher.ping())}

    observer.notifier_started(settings.host_name, sends_mail=server is not None)
    try:
        async with serve_health("notifier", settings, check_readiness):
            await run_loops(stopping, *loops)
    finally:
        await dispatcher.close(CLOSING_TIME)
        await poster.close()
        await publisher.close()
        await engine.dispose()
        observer.notifier_stopped()
