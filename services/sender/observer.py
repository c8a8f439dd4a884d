"""Observer of the sender: turns what happened into log lines, metrics and spans.

The code that does the work calls it once for each thing that happened. Lines about one message are written
for a sample of the messages; a message that was not accepted always has one.
"""

from collections.abc import Sequence

import structlog

from services.sender.held_job import HeldJob
from services.sender.metrics import (
    BREAKER_OPEN,
    BREAKER_OPENED,
    CONCURRENCY,
    MAILINGS_SUSPENDED,
    PAUSES,
    POSTS,
    RESULTS,
    RETURNED,
    SILENCES,
)
from services.sender.verdict import Verdict
from shared.contracts import Acceptance, JobMessage, Outcome, Result
from shared.masking import masked
from shared.telemetry import tracing
from shared.telemetry.log import MessageSample
from shared.telemetry.redaction import describe_error, without_numbers

log = structlog.get_logger()


class SenderObserver:
    """Logs, counts and traces. `sample` picks the messages for which each step is logged."""

    def __init__(self, sample: MessageSample) -> None:
        self._sample = sample

    # The process

    def sender_started(self, name: str, concurrency: int) -> None:
        """The sender begins to connect."""
        CONCURRENCY.set(concurrency)
        log.info("sender_started", sender=name, concurrency=concurrency)

    def sender_stopped(self, name: str) -> None:
        """The sender has published all results that it could, and closed its connections."""
        log.info("sender_stopped", sender=name)

    def file_limit_too_low(self, concurrency: int) -> None:
        """The system allows fewer open files than there may be connections to the provider."""
        log.warning("file_limit_too_low", concurrency=concurrency, remedy="raise ulimit -n")

    def drain_timed_out(self, seconds: float) -> None:
        """The sender ends with messages in flight or results unpublished. The broker delivers their jobs again."""
        log.warning("drain_timed_out", seconds=seconds)

    # Jobs and stops

    def stops_not_received(self) -> None:
        """No planner has answered yet which mailings are stopped."""
        log.warning("stops_not_received", waiting_for="a planner to answer")

    def stops_not_parsed(self, size: int, error: Exception) -> None:
        """A message about stops was skipped. If it was an answer, another is requested."""
        log.error("stops_not_parsed", size=size, reason=describe_error(error))

    def jobs_requested(self, prefetch: int) -> None:
        """The sender consumes the queues of jobs."""
        log.info("jobs_requested", prefetch=prefetch)

    def job_received(self, held_job: HeldJob) -> None:
        """A job has arrived."""
        job = held_job.job
        if held_job.amqp_message.redelivered:
            log.info("job_redelivered", **held_job.ids)
        log.debug("job_received", **held_job.ids, messages=len(job.messages))
        held_job.span = tracing.start_span(
            "process sender.jobs",
            job.traceparent,
            kind="consumer",
            attributes={"mailing_id": job.mailing_id, "job_id": job.job_id, "messages": len(job.messages)},
        )

    def job_reported(self, held_job: HeldJob) -> None:
        """The broker has the last result of the job."""
        tracing.end_span(held_job.span)

    # Messages

    def post_started(self, held_job: HeldJob, message: JobMessage) -> None:
        """A POST begins."""
        POSTS.in_flight += 1
        if self._samples(message):
            self._sample.log("message_posted", **held_job.ids_of(message), number=masked(message.number))

    def start_post_span(self, held_job: HeldJob, message: JobMessage) -> tracing.Span | None:
        """Return the span of a POST that is about to begin, if the job is traced."""
        return None if held_job.span is None else _start_post_span(held_job.span, held_job, message)

    def post_aborted(self) -> None:
        """A POST ended with a fault of ours."""
        POSTS.in_flight -= 1

    def post_ended(
        self, held_job: HeldJob, message: JobMessage, verdict: Verdict, seconds: float, span: tracing.Span | None
    ) -> None:
        """A POST has ended with an answer, or without one."""
        POSTS.in_flight -= 1
        POSTS.observe(verdict.outcome, seconds)
        if span is not None:
            _end_post_span(span, verdict)
        if self._samples(message):
            self._sample.log(
                "message_answered",
                **held_job.ids_of(message),
                outcome=verdict.outcome,
                provider_status=verdict.provider_status,
                duration_ms=int(seconds * 1000),
            )

    def result_decided(self, held_job: HeldJob, message: JobMessage, result: Result) -> None:
        """A message has a result that is no plain acceptance."""
        if not result.attempts:
            if self._samples(message):
                fields = {"outcome": result.outcome, "reason": result.reason}
                self._sample.log("message_not_posted", **held_job.ids_of(message), **fields)
            return
        is_accepted = result.outcome is Outcome.ACCEPTED
        log.info(
            "message_accepted_after_retries" if is_accepted else "message_not_accepted",
            **held_job.ids_of(message),
            number=masked(message.number),
            outcome=result.outcome,
            posts=len(result.attempts),
            provider_status=result.attempts[-1].provider_status,
        )

    def delivery_failed(self, held_job: HeldJob, message: JobMessage, error: Exception) -> None:
        """The sender has a fault. The message may have been POSTed."""
        log.error("delivery_failed", **held_job.ids_of(message), exc_info=error)

    def circuit_opened(self, verdict: Verdict) -> None:
        """The provider is out. From now on, only probes are POSTed."""
        BREAKER_OPEN.set(1)
        BREAKER_OPENED.inc()
        log.warning(
            "circuit_opened",
            waiting_for="the provider",
            provider_status=verdict.provider_status,
            cause=without_numbers(verdict.provider_text or ""),
        )

    def circuit_closed(self) -> None:
        """The provider answers again."""
        BREAKER_OPEN.set(0)
        log.info("circuit_closed")

    def mailing_suspended(self, mailing_id: int, verdict: Verdict) -> None:
        """The messages of one mailing fail while others are accepted. It is only probed now and then."""
        MAILINGS_SUSPENDED.inc()
        log.warning(
            "mailing_suspended",
            mailing_id=mailing_id,
            provider_status=verdict.provider_status,
            cause=without_numbers(verdict.provider_text or ""),
        )

    def mailing_resumed(self, mailing_id: int) -> None:
        """The messages of a suspended mailing are accepted again, or fail like those of all others."""
        log.info("mailing_resumed", mailing_id=mailing_id)

    def pause_detected(self, seconds: float) -> None:
        """This process was not running. It sends nothing before it knows its jobs and the stops again."""
        PAUSES.inc()
        log.warning("pause_detected", seconds=round(seconds, 1), waiting_for="a planner to answer")

    def silence_detected(self, seconds: float) -> None:
        """No beacon has arrived, so a stop could not arrive either. The sender begins nothing new."""
        SILENCES.inc()
        log.warning("planners_silent", seconds=round(seconds, 1), waiting_for="a planner to answer")

    # Reports

    def report_not_published(self, error: Exception) -> None:
        """RabbitMQ did not confirm a report. Its results are published again."""
        log.warning("report_not_published", waiting_for="RabbitMQ", error=str(error))

    def results_reported(
        self, held_job: HeldJob, accepted: Sequence[Acceptance], others: Sequence[Result]
    ) -> None:
        """RabbitMQ has confirmed results of a job: plain acceptances, and others."""
        RESULTS.labels(Outcome.ACCEPTED).inc(len(accepted))
        for result in others:
            RESULTS.labels(result.outcome).inc()
            if result.reason is not None:
                RETURNED.labels(result.reason).inc()
        if self._sample.is_active:
            ids = {one.message_id for one in accepted} | {one.message_id for one in others}
            clients = held_job.clients_of(ids)
            if fields := self._sample.fields(list(clients), list(clients.values())):
                self._sample.log("results_reported", **held_job.ids, **fields)

    def _samples(self, message: JobMessage) -> bool:
        return self._sample.is_active and self._sample.includes(message.id)


def _start_post_span(parent: tracing.Span, held_job: HeldJob, message: JobMessage) -> tracing.Span | None:
    return tracing.start_span(
        "POST",
        parent.traceparent,
        kind="client",
        attributes={
            "mailing_id": held_job.job.mailing_id,
            "message_id": message.id,
            "http.request.method": "POST",
        },
    )


def _end_post_span(span: tracing.Span, verdict: Verdict) -> None:
    answer = {"outcome": verdict.outcome, "http.response.status_code": verdict.provider_status}
    tracing.end_span(span, failed=verdict.outcome is not Outcome.ACCEPTED, attributes=answer)
