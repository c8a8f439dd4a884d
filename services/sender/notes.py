"""Notes of what is about to begin, for a provider that must not be asked twice.

If this sender dies, the planner knows that none of its other messages was POSTed, and releases them again. A note
is a small report that the broker confirms. It covers a handful of messages, and more if they begin faster.
"""

import asyncio

from services.sender.backlog import WaitingMessage
from services.sender.delivery import Delivery
from services.sender.observer import SenderObserver
from shared.broker.publisher import Publisher
from shared.clock import CLOCK
from shared.contracts import JobReport, Report
from shared.errors import NotPublished, PublishUnknown
from shared.topology import REPORTS

LEAST, MOST = 8, 256  # messages in a note
PAUSE_AFTER_FAILURE = 0.5  # seconds


class NoteTaker:
    """Moves messages of the backlog from `unnoted` to those that may begin."""

    def __init__(self, delivery: Delivery, publisher: Publisher, observer: SenderObserver, *, sender: str) -> None:
        self._delivery = delivery
        self._backlog = delivery.backlog
        self._publisher = publisher
        self._observer = observer
        self._sender = sender
        self._handful = LEAST
        self._wanted = asyncio.Event()
        delivery.want_notes = self.look

    def look(self) -> None:
        """Take a note if few messages are left that may begin. Cheap, and may be called at any time."""
        if self._backlog.unnoted and 2 * len(self._backlog) <= self._handful:
            self._wanted.set()

    async def run(self) -> None:
        """Take notes until cancelled."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            if not self._delivery.gate.is_closed and not await self._note(
                self._delivery.take_unnoted(self._handful)
            ):
                await asyncio.sleep(PAUSE_AFTER_FAILURE)
            self.look()

    async def _note(self, handful: list[WaitingMessage]) -> bool:
        """Note the messages, and let them begin. Return False if the broker did not confirm it."""
        if not handful:
            return True
        begun_before = self._delivery.begun
        try:
            await self._publisher.publish(REPORTS, "report", self._body(handful))
        except (NotPublished, PublishUnknown) as error:
            self._observer.report_not_published(error)
            for waiting in reversed(self._delivery.end_noting()):
                self._backlog.put_first(waiting)
            return False
        for waiting in handful:
            waiting.held_job.begun_to = max(waiting.held_job.begun_to, waiting.message.id)
        confirmed = self._delivery.end_noting()
        now = CLOCK.time()
        for waiting in confirmed:
            self._delivery.put_later(waiting, waiting.earliest - now)
        self._delivery.wake(len(confirmed))
        self._handful = min(max(LEAST, 2 * (self._delivery.begun - begun_before)), MOST)
        return True

    def _body(self, handful: list[WaitingMessage]) -> bytes:
        highest: dict[tuple[int, int, int, int | None], int] = {}
        for waiting in handful:
            job = waiting.held_job.job
            key = job.job_id, job.release, job.mailing_id, job.epoch
            highest[key] = max(waiting.message.id, highest.get(key, 0))
        jobs = tuple(
            JobReport(job_id=job_id, release=release, mailing_id=mailing_id, epoch=epoch, begun_to=begun_to)
            for (job_id, release, mailing_id, epoch), begun_to in highest.items()
        )
        return Report(sender=self._sender, jobs=jobs).model_dump_json(exclude_defaults=True).encode()
