"""Reporting: results go back in batches; a job is acknowledged when the broker has all of its results."""

import asyncio
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat

import structlog
from aio_pika.abc import AbstractIncomingMessage

from services.sender.gating import Bounds
from services.sender.metrics import count_reported
from shared.broker.connection import CONNECTION_ERRORS
from shared.broker.publisher import Publisher
from shared.contracts import Acceptance, Job, JobReport, Report, Result
from shared.errors import NotPublished, PublishUnknown
from shared.telemetry import tracing
from shared.telemetry.log import MessageSample
from shared.topology import REPORTS

log = structlog.get_logger()

PAUSE_AFTER_FAILURE = 0.5  # seconds


@dataclass(slots=True, eq=False)
class Run:
    """A job in this sender's hands."""

    job: Job
    delivery: AbstractIncomingMessage
    bounds: Bounds
    unconfirmed: int  # messages whose result the broker does not have yet
    express: bool = False
    lost: bool = False  # the connection it came over is gone, so the broker hands the job out again
    span: tracing.Span | None = None  # if the job is traced

    @property
    def ids(self) -> dict[str, object]:
        """What a line of the log about the job says of it."""
        job = self.job
        return {"mailing_id": job.mailing_id, "job_id": job.job_id, "request_id": job.request_id}

    def clients_of(self, message_ids: Collection[int]) -> dict[int, int]:
        """The clients of some of the job's messages, by message; 0 where none is known."""
        clients = self.job.client_ids or repeat(0)
        pairs = zip(self.job.messages, clients, strict=False)
        return {message.id: client_id for message, client_id in pairs if message.id in message_ids}


@dataclass(slots=True)
class _Results:
    accepted: list[Acceptance] = field(default_factory=list)
    others: list[Result] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.accepted) + len(self.others)

    def message_ids(self) -> list[int]:
        return [*(word.message_id for word in self.accepted), *(result.message_id for result in self.others)]


class Reporter:
    """Collects results and publishes them every `interval` seconds. What cannot go out waits here: no more than
    the jobs held, as the broker gives no further ones before these are acknowledged."""

    def __init__(self, publisher: Publisher, sender: str, interval: float, sample: MessageSample) -> None:
        self._publisher = publisher
        self._sender = sender
        self._interval = interval
        self._sample = sample
        self._waiting: dict[Run, _Results] = {}
        self._flushing = asyncio.Lock()

    def accept(self, run: Run, word: Acceptance) -> None:
        """A plain acceptance at the first POST."""
        self._results(run).accepted.append(word)

    def tell(self, run: Run, results: Iterable[Result]) -> None:
        """Any other results."""
        self._results(run).others.extend(results)

    def count_waiting(self) -> int:
        """How many results have not been published."""
        return sum(map(len, self._waiting.values()))

    async def run(self) -> None:
        """Publishes what is there, again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._interval)
            await self.flush_all()

    async def flush(self) -> bool:
        """Publishes all there is now; whether that went well. What did not go out is kept."""
        async with self._flushing:
            batch, self._waiting = self._waiting, {}
            if not batch:
                return True
            try:
                await self._publisher.publish(REPORTS, "report", self._body(batch))
            except (NotPublished, PublishUnknown) as error:
                log.warning("report_not_published", waiting_for="RabbitMQ", error=str(error))
                self._keep(batch)
                return False
            for run, results in batch.items():
                count_reported(len(results.accepted), results.others)
                if self._sample.is_active:
                    self._tell(run, results)
                await _confirm(run, len(results))
            return True

    async def flush_all(self) -> None:
        """Publishes until nothing is left; the caller sets a time-out."""
        while self._waiting:
            if not await self.flush():
                await asyncio.sleep(PAUSE_AFTER_FAILURE)

    def _results(self, run: Run) -> _Results:
        found = self._waiting.get(run)
        if found is None:
            found = self._waiting[run] = _Results()
        return found

    def _body(self, batch: dict[Run, _Results]) -> bytes:
        jobs = tuple(
            JobReport(
                job_id=run.job.job_id,
                release=run.job.release,
                mailing_id=run.job.mailing_id,
                request_id=run.job.request_id,
                traceparent=tracing.traceparent_of(run.span) or run.job.traceparent,
                accepted=tuple(results.accepted),
                results=tuple(results.others),
            )
            for run, results in batch.items()
        )
        return Report(sender=self._sender, jobs=jobs).model_dump_json(exclude_defaults=True).encode()

    def _tell(self, run: Run, results: _Results) -> None:
        clients = run.clients_of(set(results.message_ids()))
        if fields := self._sample.fields(list(clients), list(clients.values())):
            self._sample.log("results_reported", **run.ids, **fields)

    def _keep(self, batch: dict[Run, _Results]) -> None:
        """Puts the batch back in front of what came meanwhile."""
        newer, self._waiting = self._waiting, batch
        for run, results in newer.items():
            kept = self._results(run)
            kept.accepted.extend(results.accepted)
            kept.others.extend(results.others)


async def _confirm(run: Run, count: int) -> None:
    run.unconfirmed -= count
    if run.unconfirmed == 0:
        tracing.end_span(run.span)
    if run.unconfirmed == 0 and not run.lost:
        # If the connection went away just now the job comes again, and its results are known by then.
        with suppress(*CONNECTION_ERRORS):
            await run.delivery.ack()
