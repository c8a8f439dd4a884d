"""Observer of the planner: turns what happened into log lines, metrics and spans.

The code that does the work calls it once for each thing that happened, after the commit.
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import structlog

from services.planner.metrics import (
    BATCH_REPORTS,
    BATCH_RESULTS,
    JOBS_PUT_BACK,
    JOBS_RELEASED,
    LEASES_EXPIRED,
    MESSAGES_AGAIN,
    MESSAGES_EXPANDED,
    MESSAGES_RELEASED,
    MESSAGES_SLOWED,
    MESSAGES_UNREPORTED,
    RECORD_DURATION,
    RELEASE_DELAY,
    RELEASES_TAKEN_OVER,
    RESULTS_REFUSED,
    SLOTS,
    STOPS_PENDING,
)
from services.planner.outcomes import FREE_RETURNS
from services.planner.recorded import RecordedReports
from services.planner.release_queries import LockHolder
from services.planner.spans import (
    ReleaseSpans,
    end_release_spans,
    start_release_spans,
    trace_event,
    trace_expansion,
    trace_reports,
)
from shared.contracts import Event, Job, Report
from shared.database.failures import is_unavailable
from shared.ledger.jobs import LockedJob
from shared.ledger.mailing_progress import FinishedMailing, MailingToExpand, MailingToRetry
from shared.ledger.messages import SettledJob, SettledMessages
from shared.statuses import MessageStatus, Reason
from shared.telemetry.log import NO_MESSAGES, MessageSample, message_fields
from shared.telemetry.redaction import describe_error

log = structlog.get_logger()

RequestIds = Mapping[int, str | None]


class PlannerObserver:
    """Logs, counts and traces. `sample` picks the messages for which each step is logged."""

    def __init__(self, sample: MessageSample) -> None:
        self._sample = sample

    @property
    def lists_sent_messages(self) -> bool:
        """True if `reports_recorded` wants the ids of sent messages, too."""
        return self._sample.is_active

    # Events and mailings

    def event_received(self, event: Event) -> None:
        """An event of a mailing has arrived."""
        log.info("event_received", kind=event.kind, mailing_id=event.mailing_id, request_id=event.request_id)
        trace_event(event)

    def batch_expanded(self, mailing: MailingToExpand, messages: int, began_at: float) -> None:
        """Messages were created for a batch of clients, since `began_at`, in seconds since the epoch."""
        MESSAGES_EXPANDED.inc(messages)
        log.debug("batch_expanded", mailing_id=mailing.id, request_id=mailing.request_id, messages=messages)
        trace_expansion(mailing.traceparent, mailing.id, messages, began_at)

    def mailing_expanded(self, mailing: MailingToExpand) -> None:
        """The mailing has a message for everybody in its audience."""
        log.info("mailing_expanded", mailing_id=mailing.id, request_id=mailing.request_id)

    def messages_put_back(self, mailing: MailingToRetry, messages: int) -> None:
        """A batch of settled messages is new again, because a user requested it."""
        log.info("messages_put_back", mailing_id=mailing.id, request_id=mailing.request_id, messages=messages)

    def mailings_finished(self, mailings: Iterable[FinishedMailing]) -> None:
        """These mailings have ended."""
        for mailing in mailings:
            log.info(
                "mailing_finished",
                mailing_id=mailing.id,
                request_id=mailing.request_id,
                state=mailing.state,
                **mailing.counts,
            )

    def mailing_purged(self, mailing_id: int) -> None:
        """The last rows of a deleted mailing were removed."""
        log.info("mailing_purged", mailing_id=mailing_id)

    # Release

    def release_blocked(self, holder: LockHolder) -> None:
        """Another planner keeps the lock of the release, so nothing is released."""
        log.warning("release_blocked", planner=holder.name, session=holder.state, seconds=round(holder.seconds, 1))

    def release_taken_over(self, holder: LockHolder, seconds: float) -> None:
        """This planner has the lock that another one kept."""
        RELEASES_TAKEN_OVER.inc()
        log.warning("release_taken_over", planner=holder.name, after_seconds=round(seconds, 1))

    def jobs_released(self, jobs: list[Job], began_at: datetime) -> tuple[list[Job], ReleaseSpans]:
        """Jobs are released and will be published now. Return them with their trace context, and their spans."""
        if self._sample.is_active:
            for job in jobs:
                self._log_sample("job_released", job)
        return start_release_spans(jobs, began_at)

    def jobs_published(self, jobs: Sequence[Job], not_published: Sequence[Job], spans: ReleaseSpans) -> None:
        """Jobs were published. RabbitMQ did not take some of them, and these are planned again."""
        failed = {job.job_id for job in not_published}
        published = [job for job in jobs if job.job_id not in failed]
        JOBS_RELEASED.inc(len(published))
        MESSAGES_RELEASED.inc(sum(len(job.messages) for job in published))
        JOBS_PUT_BACK.inc(len(not_published))
        SLOTS.inc(sum(len(job.slots_ms or ()) for job in jobs))
        end_release_spans(spans, not_published)
        log.debug("jobs_released", jobs=len(published), put_back=len(not_published))

    def job_not_published(self, job: Job, error: Exception) -> None:
        """RabbitMQ did not take the job."""
        log.warning("job_not_published", **_job_ids(job), error=str(error))

    def job_publication_unconfirmed(self, job: Job, error: Exception) -> None:
        """It is not known whether RabbitMQ took the job. Its lease decides."""
        log.warning("job_publication_unconfirmed", **_job_ids(job), error=str(error))

    def round_measured(self, seconds: float) -> None:
        """Releasing takes so long: slots under a rate limit reach this much further ahead."""
        RELEASE_DELAY.set(seconds)

    def leases_expired(self, jobs: Iterable[LockedJob], request_ids: RequestIds) -> None:
        """No sender reported on these jobs within their lease."""
        jobs = list(jobs)
        if messages := sum(job.open for job in jobs):
            MESSAGES_UNREPORTED.inc(messages)
            log.error(
                "reports_missing",
                jobs=len(jobs),
                messages=messages,
                cause="planner.reports or a queue of jobs was purged, or senders are cut off or frozen",
                effect="the messages are sent again, or end as uncertain if the provider must not be asked twice",
            )
        for job in jobs:
            LEASES_EXPIRED.inc()
            log.warning(
                "lease_expired",
                mailing_id=job.mailing_id,
                job_id=job.id,
                request_id=request_ids[job.id],
                open=job.open,
            )

    def jobs_held(self, jobs: Iterable[LockedJob], request_ids: RequestIds) -> None:
        """Jobs wait because the time zone of their clients is not known.

        There may be thousands of them, so there is one line for each mailing and zone.
        """
        held = Counter[tuple[int, str | None, str | None]]()
        for job in jobs:
            held[job.mailing_id, request_ids[job.id], job.zone] += job.open
        for (mailing_id, request_id, zone), messages in held.items():
            log.warning("zone_unknown", mailing_id=mailing_id, request_id=request_id, zone=zone, held=messages)

    # Reports

    def ledger_restored(self) -> None:
        """The ledger is older than what it released: it was restored from a backup. A new epoch has begun."""
        log.error("ledger_restored", remedy="see Backup and restore in docs/operation.md")

    def results_of_another_epoch(self, results: int, epoch: int) -> None:
        """Results were refused, because another epoch of the ledger released their jobs."""
        RESULTS_REFUSED.inc(results)
        log.error("results_of_another_epoch", results=results, epoch=epoch)

    def reports_recorded(self, reports: Sequence[Report], recorded: RecordedReports, began_at: float) -> None:
        """A batch of reports was recorded, since `began_at`, in seconds since the epoch."""
        RECORD_DURATION.observe(time.time() - began_at)
        MESSAGES_AGAIN.inc(recorded.again)
        BATCH_REPORTS.observe(len(reports))
        BATCH_RESULTS.observe(sum(report.count_outcomes() for report in reports))
        log.debug("reports_recorded", reports=len(reports), again=recorded.again, **recorded.settled_by_status)
        request_ids = {part.mailing_id: part.request_id for report in reports for part in report.jobs}
        for messages in recorded.settled:
            self._log_settled(messages, request_ids)
        self._report_returns(recorded, request_ids)
        if self._sample.is_active:
            self._log_planned_again(recorded, request_ids)
        trace_reports(reports, began_at)

    def jobs_settled(self, jobs: Iterable[SettledJob], status: MessageStatus, reason: Reason) -> None:
        """Messages got a final status without an attempt. Users wanted the canceled ones, so these are debug."""
        write = log.debug if status is MessageStatus.CANCELED else log.info
        for job in jobs:
            write(
                "messages_settled",
                mailing_id=job.mailing_id,
                job_id=job.job_id,
                request_id=job.request_id,
                status=status,
                reason=reason,
                **message_fields(job.ids, job.client_ids),
            )

    def recording_delayed(self, reports: int, error: Exception) -> None:
        """The database cannot record reports now; they are tried again."""
        log.warning("recording_delayed", waiting_for="PostgreSQL", reports=reports, reason=describe_error(error))

    # Questions of senders

    def stops_pending(self, mailings: int) -> None:
        """So many mailings were stopped, and some living sender has not confirmed it yet."""
        STOPS_PENDING.set(mailings)

    def stops_not_delivered(self, error: Exception) -> None:
        """A sender did not get the stops that it requested: it is gone, or requests them again."""
        log.info("stops_not_delivered", error=str(error))

    def stops_not_read(self, error: Exception) -> None:
        """The stops that a sender requested could not be read."""
        if is_unavailable(error):
            log.warning("database_unavailable", loop="questions", waiting_for="PostgreSQL")
        else:
            log.error("stops_not_read", reason=describe_error(error))

    def survey_failed(self, error: Exception) -> None:
        """The ledger could not be surveyed for the metrics."""
        if is_unavailable(error):
            log.warning("database_unavailable", loop="survey", waiting_for="PostgreSQL")
        else:
            log.warning("survey_failed", reason=describe_error(error))

    # The process

    def planner_started(self, host: str) -> None:
        """The planner runs on this host."""
        log.info("planner_started", host=host)

    def planner_stopped(self) -> None:
        """The planner has ended all its work."""
        log.info("planner_stopped")

    def _log_settled(self, messages: SettledMessages, request_ids: RequestIds) -> None:
        """Log every unsent message, and a sample of the sent ones."""
        fields: Mapping[str, object] = message_fields(messages.ids, messages.client_ids)
        is_sent = messages.status is MessageStatus.SENT
        if is_sent:
            fields = self._sample.fields(messages.ids, messages.client_ids)
            if not fields:
                return
        (self._sample.log if is_sent else log.info)(
            "messages_settled",
            mailing_id=messages.mailing_id,
            job_id=messages.job_id,
            request_id=request_ids.get(messages.mailing_id),
            status=messages.status,
            reason=messages.reason,
            **fields,
        )

    def _report_returns(self, recorded: RecordedReports, request_ids: RequestIds) -> None:
        """Report the messages that have come back too often without a POST, and wait for that."""
        again = Counter[tuple[int, str]]()
        for group in recorded.planned_again:
            if group.step.returns > FREE_RETURNS:
                again[group.mailing_id, group.step.cause] += len(group.ids)
        for (mailing_id, cause), messages in again.items():
            MESSAGES_SLOWED.inc(messages)
            request_id = request_ids.get(mailing_id)
            log.warning(
                "messages_return_again",
                mailing_id=mailing_id,
                request_id=request_id,
                cause=cause,
                messages=messages,
            )

    def _log_planned_again(self, recorded: RecordedReports, request_ids: RequestIds) -> None:
        for group in recorded.planned_again:
            if fields := self._sample.fields(group.ids, group.client_ids):
                self._sample.log(
                    "messages_planned_again",
                    mailing_id=group.mailing_id,
                    request_id=request_ids.get(group.mailing_id),
                    due_at=group.step.due_at.isoformat(),
                    **fields,
                )

    def _log_sample(self, event: str, job: Job) -> None:
        if fields := self._sample.fields([message.id for message in job.messages], job.client_ids or ()):
            self._sample.log(event, **_job_ids(job), release=job.release, **fields)


DEFAULT_OBSERVER = PlannerObserver(NO_MESSAGES)


def _job_ids(job: Job) -> dict[str, int | str | None]:
    return {"mailing_id": job.mailing_id, "job_id": job.job_id, "request_id": job.request_id}
