"""Dispatcher: claims lanes of deliveries and makes them, many lanes at a time.

A lane is the open deliveries of one webhook and one mailing, made in order. One webhook may have few lanes in
flight at a time, so a receiver that hangs delays nobody else's. If the process dies, another claims its lanes when
their leases are over. Then the event in flight may be sent twice, with the same id.
"""

import asyncio
import random
from collections import Counter
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.observer import NotifierObserver
from services.notifier.webhooks.posting import Answer, Poster
from services.notifier.webhooks.retrying import OFF_AFTER, pause_before_retry
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.ledger.deliveries import (
    ClaimedLane,
    OpenDelivery,
    find_lane,
    lease_deliveries,
    lock_due_lanes,
    record_delivered,
    record_not_delivered,
)
from shared.ledger.webhooks import Failure, record_failure, record_success

LANES = 64  # in flight in this process
LANES_OF_WEBHOOK = 4
DELIVERIES_AT_ONCE = 20  # of one lane, before other lanes get a turn
LEASE_MARGIN = timedelta(seconds=15)
POLL = 0.5  # seconds


class Dispatcher:
    """Makes the deliveries that are due. `timeout` is the longest time of one POST, in seconds."""

    def __init__(self, engine: AsyncEngine, poster: Poster, timeout: float, observer: NotifierObserver) -> None:
        self._engine = engine
        self._poster = poster
        self._lease = timedelta(seconds=timeout) + LEASE_MARGIN
        self._observer = observer
        self._running: dict[asyncio.Task[None], int] = {}
        self.wake = asyncio.Event()

    async def step(self) -> float:
        """Claim the lanes that are due, and begin to make their deliveries."""
        in_flight = Counter(self._running.values())
        free = LANES - len(self._running)
        if free <= 0:
            return POLL
        for lane in await self._claim(in_flight, free):
            task = asyncio.create_task(self._make(lane))
            self._running[task] = lane.webhook_id
            task.add_done_callback(self._forget)
        return POLL

    async def close(self, grace: float) -> None:
        """Let the POSTs under way end within `grace` seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        tasks = list(self._running)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _claim(self, in_flight: Counter[int], free: int) -> list[ClaimedLane]:
        busy = [webhook_id for webhook_id, lanes in in_flight.items() if lanes >= LANES_OF_WEBHOOK]
        now = utc_now()
        chosen: list[ClaimedLane] = []
        async with transaction(self._engine) as connection:
            lanes = Counter(in_flight)
            for lane in await lock_due_lanes(connection, now, busy, free):
                if lanes[lane.webhook_id] < LANES_OF_WEBHOOK:
                    lanes[lane.webhook_id] += 1
                    chosen.append(lane)
            if chosen:
                await lease_deliveries(connection, [lane.first_id for lane in chosen], now + self._lease)
        return chosen

    async def _make(self, lane: ClaimedLane) -> None:
        async with transaction(self._engine) as connection:
            deliveries = await find_lane(connection, lane, DELIVERIES_AT_ONCE)
        for delivery, following in zip(deliveries, [*deliveries[1:], None], strict=True):
            answer = await self._poster.post(lane, delivery)
            if not await self._record(lane, delivery, answer, following):
                return

    async def _record(
        self, lane: ClaimedLane, delivery: OpenDelivery, answer: Answer, following: OpenDelivery | None
    ) -> bool:
        """Record the outcome; return True if the next delivery of the lane may be made."""
        now = utc_now()
        if answer.is_delivered:
            async with transaction(self._engine) as connection:
                await record_delivered(connection, delivery.id, answer.made, now)
                if following is not None:
                    await lease_deliveries(connection, [following.id], now + self._lease)
                await record_success(connection, lane.webhook_id)
            self._observer.delivery_made(lane, delivery, answer.made)
            return True
        pause = pause_before_retry(delivery.tries + 1, answer.wanted_pause, random.random())  # noqa: S311
        failure = Failure(answer.made.error or "", now - OFF_AFTER, answer.is_gone)
        async with transaction(self._engine) as connection:
            await record_not_delivered(connection, delivery.id, answer.made, now + pause, now)
            is_off = await record_failure(connection, lane.webhook_id, failure, now)
        self._observer.delivery_failed(lane, delivery, answer.made)
        if is_off:
            self._observer.webhook_switched_off(lane.webhook_id, failure.error)
        return False

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._running[task]
        self.wake.set()  # there is room for another lane
        if not task.cancelled() and (error := task.exception()) is not None:
            self._observer.lane_failed(error)
