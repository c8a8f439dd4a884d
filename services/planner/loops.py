"""Steps of the planner's loops: each does a bounded amount of work and returns the seconds until the next."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner import reaping
from services.planner.conditions import ReleaseConditions
from services.planner.consumers import Received
from services.planner.expansion import BatchSizes, expand_batch, expand_batches
from services.planner.observer import PlannerObserver
from services.planner.queries import find_due_mailings, find_mailings_to_retry, find_next_start
from services.planner.recording import record
from services.planner.release import release
from services.planner.release_watch import ReleaseWatch
from services.planner.retrying import retry_batch
from services.planner.settings import PlannerSettings
from shared.broker.publisher import Publisher
from shared.contracts import RECLAIM_HEADERS, Event, Reclaim, Report, utc_now
from shared.database.transactions import transaction
from shared.topology import REPORTS, SENDER_JOBS, SENDER_SLOTS

MakeJobs = Callable[..., Awaitable[object | None]]  # None: there is nothing to do

SLOW_POLL = 1.0  # seconds: bounds the delay if a wake-up is lost
RELEASE_POLL = 0.1
RELEASE_PAUSE = 0.02  # between rounds that released something, so that jobs leave in handfuls
SENDERS_POLL = 0.5
STARTED_TOGETHER = 25  # mailings, in one transaction, which holds their rows
STARTS_AT_ONCE = 3  # transactions
FOLD_PAUSE = 3600.0


class PlannerLoops:
    """Steps of expansion, release, recording and reaping, and the events that wake them."""

    def __init__(
        self, settings: PlannerSettings, engine: AsyncEngine, publisher: Publisher, observer: PlannerObserver
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._publisher = publisher
        self._observer = observer
        self._release_watch = ReleaseWatch(engine, observer)
        self._conditions = ReleaseConditions()
        self._senders_seen_at = float("-inf")
        self.wake_expansion = asyncio.Event()
        self.wake_release = asyncio.Event()

    def on_event(self, event: Event) -> None:
        """Wake the loops, because a mailing has changed."""
        self._observer.event_received(event)
        self.wake_expansion.set()
        self.wake_release.set()

    async def expand(self) -> float:
        """Expand a batch of every due mailing, and put back a batch of every requested retry."""
        async with transaction(self._engine) as connection:
            due = await find_due_mailings(connection, utc_now())
            to_retry = await find_mailings_to_retry(connection)
        has_worked = await self._start(due.starting)
        batches: list[tuple[MakeJobs, int]] = [(expand_batch, mailing_id) for mailing_id in due.started]
        batches += [(retry_batch, mailing_id) for mailing_id in to_retry]
        for make_jobs, mailing_id in batches:
            made = await make_jobs(
                self._engine,
                mailing_id,
                chunk=self._settings.chunk_size,
                batch=self._settings.expand_batch,
                now=utc_now(),
                observer=self._observer,
            )
            if made is not None:
                has_worked = True
                self.wake_release.set()
        return 0 if has_worked else await self._until_next_start()

    async def _start(self, mailing_ids: Sequence[int]) -> bool:
        """Expand the first batch of each mailing: some in each transaction, and some transactions at a time."""
        sizes = BatchSizes(self._settings.chunk_size, self._settings.expand_batch)
        groups = [
            mailing_ids[first : first + STARTED_TOGETHER] for first in range(0, len(mailing_ids), STARTED_TOGETHER)
        ]

        async def start(group: Sequence[int]) -> bool:
            started = await expand_batches(self._engine, group, sizes, now=utc_now(), observer=self._observer)
            self.wake_release.set()
            return bool(started)

        has_worked = False
        for first in range(0, len(groups), STARTS_AT_ONCE):
            has_worked |= any(await asyncio.gather(*map(start, groups[first : first + STARTS_AT_ONCE])))
        return has_worked

    async def release(self) -> float:
        """Release due jobs up to the senders' free capacity, if any sender runs."""
        if not await self._has_senders():
            return SENDERS_POLL
        released = await release(
            self._engine,
            self._publisher,
            self._settings,
            now=utc_now(),
            observer=self._observer,
            conditions=self._conditions,
        )
        if released is None:
            await self._release_watch.lock_denied()
            return RELEASE_POLL
        self._release_watch.lock_obtained()
        if released:
            await asyncio.sleep(RELEASE_PAUSE)
            return 0
        return RELEASE_POLL

    async def reap(self) -> float:
        """Carry out a slow round; the next one follows at once while there is much to do."""
        this = self._reap_round()
        if await reaping.has_overdue_jobs(this):
            await self._publish_reclaim(this)
        return 0 if await reaping.reap(this) else SLOW_POLL

    async def fold(self) -> float:
        """Fold old progress once an hour."""
        return 0 if await reaping.fold(self._reap_round()) else FOLD_PAUSE

    async def record(self, received: list[Received]) -> None:
        """Record reports; reclaim jobs whose lease ended if a planner requested it behind them."""
        if reports := [one for one in received if isinstance(one, Report)]:
            await record(
                self._engine,
                reports,
                now=utc_now(),
                policy=self._settings.policy(),
                chunk=self._settings.chunk_size,
                observer=self._observer,
            )
        if befores := [one.before for one in received if isinstance(one, Reclaim)]:
            await reaping.reclaim(self._reap_round(), max(befores))
        self.wake_release.set()

    def _reap_round(self) -> reaping.ReapRound:
        return reaping.ReapRound(self._engine, self._settings, utc_now(), self._observer)

    async def _until_next_start(self) -> float:
        """Return the seconds until the next mailing starts, at most SLOW_POLL."""
        async with transaction(self._engine) as connection:
            starts_at = await find_next_start(connection)
        if starts_at is None:
            return SLOW_POLL
        return min(max((starts_at - utc_now()) / timedelta(seconds=1), 0.001), SLOW_POLL)

    async def _publish_reclaim(self, this: reaping.ReapRound) -> None:
        """Enqueue a reclaim behind all earlier reports.

        Right after the broker came back, the senders may still have to publish theirs.
        """
        if self._publisher.connected_for() > self._settings.redelivery_grace:
            body = Reclaim(before=this.now - self._settings.lease_margin).model_dump_json().encode()
            await self._publisher.publish(REPORTS, "report", body, headers={**RECLAIM_HEADERS})

    async def _has_senders(self) -> bool:
        """Return True if a sender consumes jobs. Without one, jobs would only grow old in the queue.

        The broker is asked twice a second.
        """
        now = asyncio.get_running_loop().time()
        if now - self._senders_seen_at < SENDERS_POLL:
            return True
        self._conditions.senders = await self._publisher.count_consumers(SENDER_JOBS)
        if self._conditions.senders == 0:
            return False
        self._conditions.takes_slots = await self._publisher.count_consumers(SENDER_SLOTS) > 0
        self._senders_seen_at = now
        return True
