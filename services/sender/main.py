"""Wiring of the sender: consumer → worker pool → provider, and the reporter behind them."""

import asyncio
import os
from functools import partial

from services.sender.adapter import Access, Adapter, AdapterError
from services.sender.consumer import JobConsumer
from services.sender.delivery import Delivery
from services.sender.engine import find_route, open_engine, raise_file_limit
from services.sender.http.endpoint import Endpoint
from services.sender.metrics import BACKLOG, UNREPORTED
from services.sender.notes import NoteTaker
from services.sender.observer import SenderObserver
from services.sender.providers import load_adapter
from services.sender.reporting import Reporter
from services.sender.send_gate import SendGate
from services.sender.settings import SenderSettings
from services.sender.stops import StopsListener
from services.sender.worker_pool import WorkerPool
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.clock import CLOCK
from shared.lifecycle import run_beside
from shared.settings import SettingsError
from shared.telemetry.health_server import serve_health


async def run_sender(settings: SenderSettings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set, then finish or return the jobs held."""
    name = f"sender@{settings.host_name}:{os.getpid()}"
    observer = SenderObserver(settings.message_sample())
    route = find_route(settings)
    adapter = _adapter(settings, route.endpoint)
    if not raise_file_limit(settings.sender_concurrency):
        observer.file_limit_too_low(settings.sender_concurrency)
    publisher = Publisher(settings.broker_url, f"{name} publisher")
    reporter = Reporter(publisher, observer, sender=name, interval=settings.report_interval.total_seconds())
    gate = SendGate(settings, observer, adapter.is_outage)
    delivery = Delivery(adapter, gate, reporter, observer, settings)
    pool = WorkerPool(
        delivery,
        reporter,
        partial(open_engine, settings, route),
        workers=settings.sender_concurrency,
        probe_every=settings.breaker_probe_every.total_seconds(),
    )
    notes = NoteTaker(delivery, publisher, observer, sender=name)
    stops = StopsListener(pool.stop_mailings, pool.note_beacon, publisher, observer, sender=name)
    consumer = JobConsumer(pool, stops, publisher, observer, prefetch=settings.sender_prefetch, stopping=stopping)

    async def readiness() -> dict[str, bool]:
        return {"broker": consumer.is_consuming, "clock": not CLOCK.is_host_wrong}

    BACKLOG.set_function(pool.count_waiting)
    UNREPORTED.set_function(reporter.count_unpublished)
    observer.sender_started(name, settings.sender_concurrency)
    consuming = run_sessions(settings.broker_url, f"{name} jobs", consumer.session, stopping)
    try:
        async with serve_health("sender", settings, readiness):
            await run_beside(consuming, pool.run(), reporter.run(), notes.run())
    finally:
        await reporter.flush()
        await publisher.close()
        observer.sender_stopped(name)


def _adapter(settings: SenderSettings, endpoint: Endpoint) -> Adapter:
    access = Access(endpoint, settings.provider_token.get_secret_value(), settings.provider_file)
    try:
        return load_adapter(settings.provider_adapter, access)
    except AdapterError as error:
        raise SettingsError(*error.args) from None
