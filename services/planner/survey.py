"""Surveyor: takes a survey of the ledger on request, every few seconds at most, in bounded time.

A database that is away or frozen delays no request for metrics by more than a second.
"""

import asyncio
import time

from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.observer import DEFAULT_OBSERVER, PlannerObserver
from services.planner.survey_queries import Survey, take_survey
from shared.contracts import utc_now

MAX_AGE = 3.0  # seconds for which a survey is used again
MAX_WAIT = 1.0  # seconds that a request for metrics waits


class Surveyor:
    """Takes surveys of the ledger, one at a time."""

    def __init__(self, engine: AsyncEngine, observer: PlannerObserver = DEFAULT_OBSERVER) -> None:
        self._engine = engine
        self._observer = observer
        self._task: asyncio.Task[Survey | None] | None = None
        self._began = 0.0

    async def survey(self) -> Survey | None:
        """Return a survey that is at most MAX_AGE old, within MAX_WAIT; None if there is none."""
        if self._task is None or (self._task.done() and time.monotonic() - self._began > MAX_AGE):
            self._began = time.monotonic()
            self._task = asyncio.create_task(self._take())
        # A survey that takes too long goes on. To cancel a statement takes as long as the statement.
        await asyncio.wait([self._task], timeout=MAX_WAIT)
        return self._task.result() if self._task.done() else None

    async def close(self) -> None:
        """Cancel a survey that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _take(self) -> Survey | None:
        try:
            return await take_survey(self._engine, utc_now())
        except Exception as error:  # noqa: BLE001 - whatever it is, the other metrics must be readable
            self._observer.survey_failed(error)
            return None
