"""Wiring of the sender: consumer → worker pool → provider, and the reporter behind them."""

import asyncio
import os

from services.sender.consumer import JobConsumer
from services.sender.delivery import Delivery
from services.sender.metrics import BACKLOG, UNREPORTED
from services.sender.observer import SenderObserver
from services.sender.provider import open_provider
from services.sender.reporting import Reporter
from services.sender.send_gate import SendGate
from services.sender.settings import SenderSettings
from services.sender.stops import StopsListener
from services.sender.worker_pool import WorkerPool
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.lifecycle import run_beside
from shared.telemetry.health_server import serve_health


async def run_sender(settings: SenderSettings, stopping: asyncio.Event) -> None:
    """Run until `stopping` is set, then finish or return the jobs held."""
    name = f"sender@{settings.host_name}:{os.getpid()}"
    observer = SenderObserver(settings.message_sample())
    provider = open_provider(
        settings.provider_engine,
        str(settings.provider_url),
        settings.provider_token,
        settings.sender_concurrency,
        settings.connect_timeout,
    )
    publisher = Publisher(settings.broker_url, f"{name} publisher")
    reporter = Reporter(publisher, observer, sender=name, interval=settings.report_interval.total_seconds())
    gate = SendGate(settings, observer)
    delivery = Delivery(provider, gate, reporter, observer, settings)
    pool = WorkerPool(delivery, gate, reporter, workers=settings.sender_concurrency)
    stops = StopsListener(pool.stop_mailings, publisher, observer, sender=name)
    consumer = JobConsumer(pool, stops, publisher, observer, prefetch=settings.sender_prefetch, stopping=stopping)

    async def readiness() -> dict[str, bool]:
        return {"broker": consumer.is_consuming}

    BACKLOG.set_function(pool.count_waiting)
    UNREPORTED.set_function(reporter.count_unpublished)
    observer.sender_started(name, settings.sender_concurrency)
    consuming = run_sessions(settings.broker_url, f"{name} jobs", consumer.session, stopping)
    try:
        async with serve_health("sender", settings, readiness):
            await run_beside(consuming, pool.run(), reporter.run())
    finally:
        await reporter.flush()
        await publisher.close()
        await provider.close()
        observer.sender_stopped(name)
