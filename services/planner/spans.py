"""Spans of the planner: its steps on the way of a mailing, as OpenTelemetry shows them."""

import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from shared.contracts import Event, Job, Report
from shared.telemetry import tracing

ReleaseSpans = dict[int, tracing.Span]  # by the id of the job


def trace_event(event: Event) -> None:
    """Record that an event has arrived."""
    attributes: tracing.Attributes = {"event": event.kind, "mailing_id": event.mailing_id}
    tracing.record_span(
        "process planner.events", event.traceparent, time.time(), kind="consumer", attributes=attributes
    )


def trace_expansion(traceparent: str | None, mailing_id: int, messages: int, began_at: float) -> None:
    """Record that a batch of the audience got its messages, since `began_at`."""
    attributes = {"mailing_id": mailing_id, "messages": messages}
    tracing.record_span("expand", traceparent, began_at, attributes=attributes)


def start_release_spans(jobs: list[Job], began_at: datetime) -> tuple[list[Job], ReleaseSpans]:
    """Start a span for each job in the sample, and let these jobs carry it on.

    A job comes with the trace context of its mailing. One that is not in the sample loses it, so that no
    sender traces it.
    """
    if not tracing.is_enabled():
        return jobs, {}
    spans: ReleaseSpans = {}
    for job in jobs:
        span = _start_release_span(job, began_at.timestamp()) if tracing.is_in_sample(job.job_id) else None
        if span is not None:
            spans[job.job_id] = span
    carried = [
        job.model_copy(update={"traceparent": tracing.traceparent_of(spans.get(job.job_id))}) for job in jobs
    ]
    return carried, spans


def end_release_spans(spans: ReleaseSpans, not_published: Sequence[Job]) -> None:
    """End the spans of jobs that RabbitMQ has taken, or has not."""
    failed = {job.job_id for job in not_published}
    for job_id, span in spans.items():
        tracing.end_span(span, failed=job_id in failed)


def trace_reports(reports: Iterable[Report], began_at: float) -> None:
    """Record that results of each traced job were recorded, since `began_at`."""
    if not tracing.is_enabled():
        return
    for part in (part for report in reports for part in report.jobs):
        ids = {"mailing_id": part.mailing_id, "job_id": part.job_id}
        tracing.record_span(
            "process planner.reports",
            part.traceparent,
            began_at,
            kind="consumer",
            attributes={**ids, "messages": len(part.accepted) + len(part.results)},
        )


def _start_release_span(job: Job, began_at: float) -> tracing.Span | None:
    return tracing.start_span(
        "publish sender.jobs",
        job.traceparent,
        kind="producer",
        began_at=began_at,
        attributes={"mailing_id": job.mailing_id, "job_id": job.job_id, "messages": len(job.messages)},
    )
