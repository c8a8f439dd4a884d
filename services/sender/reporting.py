"""Reporting: publish results in batches, and acknowledge a job when the broker has all of its results."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from services.sender.held_job import HeldJob
from services.sender.observer import SenderObserver
from shared.broker.connection import CONNECTION_ERRORS
from shared.broker.publisher import Publisher
from shared.contracts import Acceptance, JobReport, Report, Result
from shared.errors import NotPublished, PublishUnknown
from shared.telemetry.tracing import traceparent_of
from shared.topology import REPORTS

PAUSE_AFTER_FAILURE = 0.5  # seconds


@dataclass(slots=True)
class _JobResults:
    """Results of a job that are not published yet."""

    accepted: list[Acceptance] = field(default_factory=list)
    others: list[Result] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.accepted) + len(self.others)

    def extend(self, newer: "_JobResults") -> None:
        self.accepted.extend(newer.accepted)
        self.others.extend(newer.others)


_Batch = dict[HeldJob, _JobResults]


class Reporter:
    """Collects results, and publishes them every `interval` seconds.

    A result that cannot be published stays here. The broker delivers no further jobs before those held are
    acknowledged, so there are never more results than messages of the jobs held.
    """

    def __init__(self, publisher: Publisher, observer: SenderObserver, *, sender: str, interval: float) -> None:
        self._publisher = publisher
        self._observer = observer
        self._sender = sender
        self._interval = interval
        self._unpublished: _Batch = {}
        self._flushing = asyncio.Lock()

    def add_acceptance(self, held_job: HeldJob, acceptance: Acceptance) -> None:
        """Add a plain acceptance at the first POST."""
        self._results_of(held_job).accepted.append(acceptance)

    def add_results(self, held_job: HeldJob, results: Iterable[Result]) -> None:
        """Add other results."""
        self._results_of(held_job).others.extend(results)

    def count_unpublished(self) -> int:
        """Return the number of results that are not published yet."""
        return sum(map(len, self._unpublished.values()))

    async def run(self) -> None:
        """Publish results until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.flush_all()

    async def flush(self) -> bool:
        """Publish all results that there are now. Return False if that failed; then they are kept."""
        async with self._flushing:
            batch, self._unpublished = self._unpublished, {}
            if not batch:
                return True
            try:
                await self._publisher.publish(REPORTS, "report", self._body(batch))
            except (NotPublished, PublishUnknown) as error:
                self._observer.report_not_published(error)
                self._keep(batch)
                return False
            for held_job, results in batch.items():
                self._observer.results_reported(held_job, results.accepted, results.others)
                await self._acknowledge(held_job, len(results))
            return True

    async def flush_all(self) -> None:
        """Publish until nothing is left. The caller sets a time-out."""
        while self._unpublished:
            if not await self.flush():
                await asyncio.sleep(PAUSE_AFTER_FAILURE)

    def _results_of(self, held_job: HeldJob) -> _JobResults:
        found = self._unpublished.get(held_job)
        if found is None:
            found = self._unpublished[held_job] = _JobResults()
        return found

    def _body(self, batch: _Batch) -> bytes:
        jobs = tuple(
            JobReport(
                job_id=held_job.job.job_id,
                release=held_job.job.release,
                mailing_id=held_job.job.mailing_id,
                request_id=held_job.job.request_id,
                epoch=held_job.job.epoch,
                traceparent=traceparent_of(held_job.span) or held_job.job.traceparent,
                accepted=tuple(results.accepted),
                results=tuple(results.others),
            )
            for held_job, results in batch.items()
        )
        return Report(sender=self._sender, jobs=jobs).model_dump_json(exclude_defaults=True).encode()

    def _keep(self, batch: _Batch) -> None:
        """Put the batch back in front of the results that came meanwhile."""
        newer, self._unpublished = self._unpublished, batch
        for held_job, results in newer.items():
            self._results_of(held_job).extend(results)

    async def _acknowledge(self, held_job: HeldJob, reported: int) -> None:
        """Count reported results. Acknowledge the job with the last of them."""
        held_job.unreported -= reported
        if held_job.unreported:
            return
        self._observer.job_reported(held_job)
        if not held_job.is_lost:
            # If the connection is lost just now, the job comes again. By then its results are recorded.
            with suppress(*CONNECTION_ERRORS):
                await held_job.amqp_message.ack()
