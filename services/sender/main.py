"""The sender's wiring: consumer → delivery → provider, and the reporter behind them."""

import asyncio
import os

import structlog

from services.sender.consumer import Consumer
from services.sender.delivery import Delivery
from services.sender.metrics import BACKLOG, CONCURRENCY, UNREPORTED
from services.sender.provider import open_provider
from services.sender.reporting import Reporter
from services.sender.settings import SenderSettings
from shared.broker.publisher import Publisher
from shared.broker.sessions import run_sessions
from shared.lifecycle import run_beside
from shared.telemetry.health_server import serve_health

log = structlog.get_logger()


async def run_sender(settings: SenderSettings, stopping: asyncio.Event) -> None:
    """Runs until `stopping` is set, and gives back what it holds."""
    name = f"sender@{settings.host_name}:{os.getpid()}"
    provider = open_provider(
        settings.provider_engine,
        str(settings.provider_url),
        settings.provider_token,
        settings.sender_concurrency,
        settings.connect_timeout,
    )
    publisher = Publisher(settings.broker_url, f"{name} publisher")
    reporter = Reporter(publisher, name, settings.report_interval.total_seconds(), settings.message_sample())
    delivery = Delivery(provider, reporter, settings)
    consumer = Consumer(
        delivery, reporter, publisher, name=name, prefetch=settings.sender_prefetch, stopping=stopping
    )

    async def readiness() -> dict[str, bool]:
        return {"broker": consumer.is_consuming}

    CONCURRENCY.set(settings.sender_concurrency)
    BACKLOG.set_function(delivery.count_waiting)
    UNREPORTED.set_function(reporter.count_waiting)
    log.info("sender_started", sender=name, concurrency=settings.sender_concurrency)
    consuming = run_sessions(settings.broker_url, f"{name} jobs", consumer.session, stopping)
    try:
        async with serve_health("sender", settings, readiness):
            await run_beside(consuming, delivery.run(), reporter.run())
    finally:
        await reporter.flush()
        await publisher.close()
        await provider.close()
        log.info("sender_stopped", sender=name)
