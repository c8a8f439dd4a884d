"""The trace context travels as W3C `traceparent`, and costs nothing where nothing is traced."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from pydantic import AnyHttpUrl

from services.planner.spans import end_release_spans, start_release_spans
from shared.contracts import Job, JobMessage, utc_now
from shared.settings import LogSettings
from shared.telemetry import tracing

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"
NOT_RECORDED = f"00-{TRACE}-{CALLER}-00"
INVALID = [
    "",
    "00-abc-def-01",
    f"00-{'0' * 32}-{CALLER}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{CALLER}-01",
    f"ff-{TRACE}-{CALLER}-01",
    "x" * 55,
]


@pytest.fixture
def enabled(unused_tcp_port: int) -> Iterator[None]:
    """Spans are recorded, and exported to nobody: the port is closed."""
    settings = LogSettings(otel_endpoint=AnyHttpUrl(f"http://127.0.0.1:{unused_tcp_port}"), otel_sample=0.5)
    with tracing.export_traces("test", settings):
        yield


@pytest.mark.usefixtures("enabled")
def test_a_trace_of_the_caller_is_continued() -> None:
    span = tracing.start_trace("request", TRACEPARENT)
    assert span is not None
    assert span.trace_id == TRACE
    assert span.traceparent.startswith(f"00-{TRACE}-")
    assert CALLER not in span.traceparent


@pytest.mark.usefixtures("enabled")
def test_spans_of_a_trace_differ() -> None:
    one, other = (tracing.start_span("step", TRACEPARENT) for _ in range(2))
    assert one is not None
    assert other is not None
    assert one.trace_id == other.trace_id == TRACE
    assert one.traceparent != other.traceparent


@pytest.mark.usefixtures("enabled")
@pytest.mark.parametrize("traceparent", [None, *INVALID])
def test_without_a_valid_traceparent_a_request_begins_a_trace_and_a_step_has_no_span(
    traceparent: str | None,
) -> None:
    request = tracing.start_trace("request", traceparent)
    assert request is not None
    assert request.trace_id.lower() != TRACE
    assert tracing.start_span("step", traceparent) is None


@pytest.mark.usefixtures("enabled")
def test_a_trace_that_the_caller_does_not_record_is_not_recorded() -> None:
    assert tracing.start_trace("request", NOT_RECORDED) is None
    assert tracing.start_span("step", NOT_RECORDED) is None


@pytest.mark.usefixtures("enabled")
def test_the_current_span_ends_with_its_block() -> None:
    span = tracing.start_trace("request", None)
    assert tracing.current_traceparent() is None
    with tracing.as_current(span):
        assert tracing.current_traceparent() == tracing.traceparent_of(span)
    assert tracing.current_traceparent() is None


@pytest.mark.usefixtures("enabled")
def test_the_configured_share_of_the_jobs_is_in_the_sample() -> None:
    assert 4_900 < sum(map(tracing.is_in_sample, range(10_000))) < 5_100


def jobs_of_a_traced_mailing() -> list[Job]:
    return [
        Job(
            job_id=job_id,
            release=1,
            mailing_id=7,
            revision=0,
            text="hello",
            send_before=utc_now(),
            lease_until=utc_now(),
            messages=(JobMessage(1, 79_050_000_000),),
            traceparent=TRACEPARENT,
        )
        for job_id in range(1, 101)
    ]


@pytest.mark.usefixtures("enabled")
def test_a_released_job_in_the_sample_carries_its_own_span_and_any_other_job_no_trace() -> None:
    released, spans = start_release_spans(jobs_of_a_traced_mailing(), utc_now())
    assert 30 < len(spans) < 70
    assert {span.trace_id for span in spans.values()} == {TRACE}
    assert [job.traceparent for job in released] == [
        tracing.traceparent_of(spans.get(job.job_id)) for job in released
    ]
    assert {job.job_id for job in released if tracing.is_in_sample(job.job_id)} == spans.keys()
    end_release_spans(spans, not_published=[])


def test_without_an_endpoint_a_released_job_is_left_as_it_is() -> None:
    jobs = jobs_of_a_traced_mailing()
    assert start_release_spans(jobs, utc_now()) == (jobs, {})


def test_nothing_is_traced_without_an_endpoint() -> None:
    with tracing.export_traces("test", LogSettings()):
        assert not tracing.is_enabled()
        assert tracing.start_trace("request", TRACEPARENT) is None
        assert tracing.start_span("step", TRACEPARENT) is None
        assert not any(map(tracing.is_in_sample, range(100)))
        tracing.end_span(None)


@pytest.mark.parametrize("service", ["api", "planner", "sender"])
def test_opentelemetry_is_not_imported_without_an_endpoint(service: str) -> None:
    look = (
        f"import sys, services.{service}.main as main; import shared.telemetry.tracing;"
        "sys.exit('shared.telemetry.spans' in sys.modules or 'opentelemetry.sdk' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0
