"""Comparison of this process's clock with PostgreSQL's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from shared.clock import CLOCK, ticks
from shared.database.transactions import transaction
from shared.lifecycle import repeat
from shared.telemetry.clock_report import ClockReport

INTERVAL = 1.0  # seconds
_READ_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())::float8 -- read_clock --")


async def compare_clock(engine: AsyncEngine) -> None:
    """Compare once. Raises DatabaseUnavailable."""
    async with transaction(engine) as connection:
        await connection.execute(text("SELECT 1"))  # so that the time to connect does not count
        asked = ticks()
        reference = (await connection.execute(_READ_CLOCK)).scalar_one()
        CLOCK.compare(reference, asked, ticks())


@asynccontextmanager
async def following_clock(engine: AsyncEngine) -> AsyncIterator[asyncio.Event]:
    """Follow PostgreSQL's clock while the block runs. The event is set after the first comparison."""
    stopping, compared, report = asyncio.Event(), asyncio.Event(), ClockReport("PostgreSQL")

    async def follow() -> float:
        await compare_clock(engine)
        report.look()
        compared.set()
        return INTERVAL

    loop = asyncio.create_task(repeat("clock", follow, stopping))
    try:
        yield compared
    finally:
        stopping.set()
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
