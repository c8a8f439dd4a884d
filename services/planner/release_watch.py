"""Watch over the lock of the release: log when another planner keeps it, and when this one takes over."""

import time

from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.observer import PlannerObserver
from services.planner.release_queries import LockHolder, find_release_lock_holder
from shared.database.transactions import transaction

SUSPICIOUS = 1.0  # seconds; a round takes much less


class ReleaseWatch:
    """Time for which this planner has not got the lock of the release, and the planner that keeps it.

    A planner that is frozen in the middle of a round keeps the lock until PostgreSQL ends its transaction, after
    the planners' time-out for idle transactions.
    """

    def __init__(self, engine: AsyncEngine, observer: PlannerObserver) -> None:
        self._engine = engine
        self._observer = observer
        self._blocked_since: float | None = None
        self._holder: LockHolder | None = None

    def lock_obtained(self) -> None:
        """Log that this planner releases now, if another one was stuck."""
        if self._holder is not None and self._blocked_since is not None:
            self._observer.release_taken_over(self._holder, time.monotonic() - self._blocked_since)
        self._blocked_since = self._holder = None

    async def lock_denied(self) -> None:
        """Look who keeps the lock, once this has lasted too long."""
        now = time.monotonic()
        if self._blocked_since is None:
            self._blocked_since = now
        elif self._holder is None and now - self._blocked_since > SUSPICIOUS:
            async with transaction(self._engine) as connection:
                holder = await find_release_lock_holder(connection)
            if holder is not None and holder.seconds > SUSPICIOUS:
                self._holder = holder
                self._observer.release_blocked(holder)
