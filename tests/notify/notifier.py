"""`python -m tests.notify.notifier`: a notifier whose days are simulated. All else is the product's."""

import asyncio

from services.notifier.main import run_notifier
from services.notifier.settings import NotifierSettings
from shared.cli.service import run_service
from tests.notify.clock import SimulatedClock


async def run(settings: NotifierSettings, stopping: asyncio.Event) -> None:
    await run_notifier(settings, stopping, SimulatedClock.from_environment().now)


if __name__ == "__main__":
    run_service("notifier", NotifierSettings, run, "Run a notifier on a simulated clock.")
