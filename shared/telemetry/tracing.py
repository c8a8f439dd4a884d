"""Traces for OpenTelemetry. The context of a trace travels from service to service as a W3C `traceparent`.

Without an endpoint nothing is traced: every function returns at once, and the SDK is not imported. A span of
something that is not traced is `None`, and every function takes it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from shared.telemetry.sampling import is_below, threshold

if TYPE_CHECKING:
    from opentelemetry.trace import Span as OtelSpan

    from shared.settings import LogSettings
    from shared.telemetry.spans import SpanRecorder

Kind = Literal["server", "client", "producer", "consumer", "internal"]
Attributes = Mapping[str, str | int | None]  # those that are None are left out

NO_ATTRIBUTES: Attributes = MappingProxyType({})


@dataclass(slots=True)
class _Tracing:
    """State of this process."""

    recorder: "SpanRecorder | None" = None
    threshold: int = 0  # of the sample of jobs


_tracing = _Tracing()


@dataclass(frozen=True, slots=True)
class Span:
    """A span that is not over. By its `traceparent`, other processes hang their spans below it."""

    otel_span: "OtelSpan"
    traceparent: str

    @property
    def trace_id(self) -> str:
        """Return the 32 hexadecimal digits of the trace's id."""
        return self.traceparent[3:35]


_current: ContextVar[Span | None] = ContextVar("current_span", default=None)


@contextmanager
def export_traces(service: str, settings: "LogSettings") -> Iterator[None]:
    """Record spans while the block runs, and export them; at its end, wait briefly for the last of them."""
    if settings.otel_endpoint is None:
        yield
        return
    from shared.telemetry.spans import SpanRecorder

    recorder = SpanRecorder(service, str(settings.otel_endpoint), settings.host_name)
    _tracing.recorder, _tracing.threshold = recorder, threshold(settings.otel_sample)
    try:
        yield
    finally:
        _tracing.recorder, _tracing.threshold = None, 0
        recorder.close()


def is_enabled() -> bool:
    """Return True while spans are recorded."""
    return _tracing.recorder is not None


def is_in_sample(job_id: int) -> bool:
    """Return True if the job belongs to the share of the jobs that are traced, with all their messages."""
    return is_below(job_id, _tracing.threshold)


def start_trace(
    name: str, traceparent: str | None, *, kind: Kind = "server", attributes: Attributes = NO_ATTRIBUTES
) -> Span | None:
    """Start a span that continues the caller's trace, or begins a trace.

    None if the caller does not record its trace: then neither do we.
    """
    recorder = _tracing.recorder
    return None if recorder is None else recorder.start_trace(name, traceparent, kind, attributes)


def start_span(
    name: str,
    traceparent: str | None,
    *,
    kind: Kind = "internal",
    began_at: float | None = None,
    attributes: Attributes = NO_ATTRIBUTES,
) -> Span | None:
    """Start a span below that of the `traceparent`; None if there is none, or it is not recorded.

    `began_at` is an instant of the past, in seconds since the epoch.
    """
    recorder = _tracing.recorder
    if recorder is None or traceparent is None:
        return None
    return recorder.start_span(name, traceparent, kind, began_at, attributes)


def end_span(
    span: Span | None, *, name: str | None = None, failed: bool = False, attributes: Attributes = NO_ATTRIBUTES
) -> None:
    """End the span now. A `name` replaces the one that it began with."""
    if span is not None and _tracing.recorder is not None:
        _tracing.recorder.end_span(span, name, failed, attributes)


def record_span(
    name: str,
    traceparent: str | None,
    began_at: float,
    *,
    kind: Kind = "internal",
    attributes: Attributes = NO_ATTRIBUTES,
) -> None:
    """Record a span that began at `began_at`, in seconds since the epoch, and ends now."""
    end_span(start_span(name, traceparent, kind=kind, began_at=began_at, attributes=attributes))


def traceparent_of(span: Span | None) -> str | None:
    """Return the W3C `traceparent` that names the span as parent."""
    return None if span is None else span.traceparent


@contextmanager
def as_current(span: Span | None) -> Iterator[None]:
    """Make the span the current one of this task, and of the tasks that the block creates."""
    token = _current.set(span)
    try:
        yield
    finally:
        _current.reset(token)


def current_traceparent() -> str | None:
    """Return the `traceparent` of the current span, which is that of the HTTP request."""
    return traceparent_of(_current.get())
