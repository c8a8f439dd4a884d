"""Beacon: five times a second, every planner lets all senders know its time and which mailings were just stopped.

A sender that does not receive it cannot receive a stop either, so it begins nothing new. With this, a stop reaches
a sender by two ways, the outbox of the API and the beacon, or it does not matter.

A stop is pending until all living senders have confirmed it. A sender without a consumer at the broker has lost
its jobs, so the living ones are the consumers of the queue of jobs.
"""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from secrets import token_hex

from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.observer import PlannerObserver
from services.planner.queries import find_pending_stops, find_stops
from shared.broker.publisher import Publisher
from shared.broker.sessions import until_closed
from shared.clock import CLOCK
from shared.contracts import CONFIRMATION, Stops, utc_now
from shared.database.transactions import transaction
from shared.ledger.mailings import confirm_stops
from shared.topology import CONTROL, SENDER_JOBS, TIMEOUT

INTERVAL = 0.2  # seconds
MEMORY = timedelta(seconds=10)  # a sender that receives nothing for less still learns every stop
CONFIRMED_WITHIN = 0.4  # seconds


class Beacon:
    """Reads the stops, publishes them with the time, and collects the senders' confirmations."""

    def __init__(self, engine: AsyncEngine, publisher: Publisher, observer: PlannerObserver) -> None:
        self._engine = engine
        self._publisher = publisher
        self._observer = observer
        self._stops: Mapping[int, int] = {}
        self._reply_to: str | None = None
        self._round = ""
        self._confirmed: set[str] = set()
        self._arrived = asyncio.Event()
        self.wake = asyncio.Event()

    # The beacon

    async def send(self) -> float:
        """Publish the beacon. It goes on while PostgreSQL is away, as nobody can stop a mailing then."""
        await self._publish(self._stops)
        return INTERVAL

    async def read_stops(self) -> float:
        """Read the stops of the last seconds. Ask the senders to confirm those that are pending."""
        async with transaction(self._engine) as connection:
            self._stops = await find_stops(connection, utc_now() - MEMORY)
            pending = await find_pending_stops(connection)
        self._observer.stops_pending(len(pending))
        if pending and await self._are_confirmed(pending):
            async with transaction(self._engine) as connection:
                await confirm_stops(connection, pending)
        return INTERVAL

    # Confirmations

    async def take_confirmations(self, channel: AbstractChannel, stopping: asyncio.Event) -> None:
        """Collect the confirmations until the channel closes."""

        async def on_confirmation(amqp_message: AbstractIncomingMessage) -> None:
            if amqp_message.correlation_id == self._round:
                self._confirmed.add(CONFIRMATION.validate_json(amqp_message.body).sender)
                self._arrived.set()

        queue = await channel.declare_queue(
            f"planner.confirmations.{token_hex(6)}", exclusive=True, auto_delete=True, timeout=TIMEOUT
        )
        await queue.consume(on_confirmation, no_ack=True, timeout=TIMEOUT)
        self._reply_to = queue.name
        try:
            await until_closed(channel, stopping)
        finally:
            self._reply_to = None

    async def _are_confirmed(self, pending: Mapping[int, int]) -> bool:
        """Return True if every living sender confirms the stops in time."""
        if self._reply_to is None:
            return False
        self._round, self._confirmed = token_hex(6), set()
        await self._publish(pending, confirm=True)
        senders = await self._publisher.count_consumers(SENDER_JOBS)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CONFIRMED_WITHIN
        while len(self._confirmed) < senders and (left := deadline - loop.time()) > 0:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                break
        return len(self._confirmed) >= senders

    async def _publish(self, revisions: Mapping[int, int], *, confirm: bool = False) -> None:
        stops = Stops(revisions=dict(revisions), at_ms=int(CLOCK.time() * 1000))
        await self._publisher.publish(
            CONTROL,
            "",
            stops.model_dump_json().encode(),
            mandatory=False,
            reply_to=self._reply_to if confirm else None,
            correlation_id=self._round if confirm else None,
        )
