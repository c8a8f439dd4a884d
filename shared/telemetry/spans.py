"""Recorder of spans for `shared.telemetry.tracing`. It is the only module that imports OpenTelemetry."""

from functools import lru_cache
from os import getpid
from threading import Thread

import requests
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as OtelSpan
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from shared import __version__
from shared.telemetry.tracing import Attributes, Kind, Span

EXPORT_TIMEOUT = 2.0  # seconds for a batch; a batch that takes longer is dropped
CLOSE_TIMEOUT = 3.0  # seconds
QUEUE_SIZE = 16_384  # spans that wait for their export; further ones are dropped
BATCH_SIZE = 512
TRACEPARENT = "traceparent"
TRACEPARENT_LENGTH = 55  # of version 00, which OpenTelemetry writes
NOT_TRACED = Context()

_propagator = TraceContextTextMapPropagator()


class SpanRecorder:
    """Exports spans in batches, from a thread of its own."""

    def __init__(self, service: str, endpoint: str, host: str) -> None:
        attributes = {
            "service.name": f"mailing-{service}",
            "service.version": __version__,
            "service.instance.id": f"{host}:{getpid()}",
        }
        self._provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
        session = requests.Session()
        session.trust_env = False  # no proxy is taken from the environment
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT, session=session)
        processor = BatchSpanProcessor(exporter, max_queue_size=QUEUE_SIZE, max_export_batch_size=BATCH_SIZE)
        self._provider.add_span_processor(processor)
        self._tracer = self._provider.get_tracer("mailing", __version__)

    def start_trace(self, name: str, traceparent: str | None, kind: Kind, attributes: Attributes) -> Span | None:
        """See `tracing.start_trace`."""
        parent = NOT_TRACED if traceparent is None else _extract(traceparent)
        return self._start(name, parent, kind, None, attributes)

    def start_span(
        self, name: str, traceparent: str, kind: Kind, began_at: float | None, attributes: Attributes
    ) -> Span | None:
        """See `tracing.start_span`."""
        parent = _parent(traceparent)
        return None if parent is None else self._start(name, parent, kind, began_at, attributes)

    def end_span(self, span: Span, name: str | None, failed: bool, attributes: Attributes) -> None:
        """See `tracing.end_span`."""
        if name is not None:
            span.otel_span.update_name(name)
        span.otel_span.set_attributes(_given(attributes))
        if failed:
            span.otel_span.set_status(Status(StatusCode.ERROR))
        span.otel_span.end()

    def close(self) -> None:
        """Export the last spans. Give up when the endpoint does not take them in time."""
        # By itself, the provider would wait for half a minute.
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT)

    def _start(
        self, name: str, parent: Context, kind: Kind, began_at: float | None, attributes: Attributes
    ) -> Span | None:
        otel_span = self._tracer.start_span(
            name,
            parent,
            SpanKind[kind.upper()],
            attributes=_given(attributes),
            start_time=None if began_at is None else int(began_at * 1e9),
        )
        return Span(otel_span, _inject(otel_span)) if otel_span.is_recording() else None


def _extract(traceparent: str) -> Context:
    return _propagator.extract({TRACEPARENT: traceparent}, Context())


def _inject(otel_span: OtelSpan) -> str:
    carrier: dict[str, str] = {}
    _propagator.inject(carrier, set_span_in_context(otel_span, Context()))
    return carrier[TRACEPARENT]


@lru_cache(maxsize=1024)  # all messages of a job have the same parent
def _parent(traceparent: str) -> Context | None:
    """Return the context of the parent, or None if it is not valid or not recorded."""
    if len(traceparent) != TRACEPARENT_LENGTH:
        return None
    context = _extract(traceparent)
    parent = get_current_span(context).get_span_context()
    return context if parent.is_valid and parent.trace_flags.sampled else None


def _given(attributes: Attributes) -> dict[str, str | int]:
    return {name: value for name, value in attributes.items() if value is not None}
