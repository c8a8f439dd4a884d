"""What `shared.telemetry.tracing` needs of OpenTelemetry; the only module that imports it."""

from collections.abc import Mapping
from os import getpid
from threading import Thread

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from shared import __version__

TIMEOUT = 2.0  # seconds for a batch; what could not be sent then is dropped
PATIENCE = 3.0  # seconds, at the end
QUEUE = 16_384  # spans that wait at most: what comes beyond is dropped
BATCH = 512


class _Ids(RandomIdGenerator):
    """Gives the next span the ids that were computed for it, if they were."""

    trace_id = 0
    span_id: int | None = None

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return super().generate_span_id() if self.span_id is None else self.span_id


class Spans:
    """Sends spans off in batches, from a thread of its own."""

    def __init__(self, service: str, endpoint: str, host: str) -> None:
        self._ids = _Ids()
        instance = f"{host}:{getpid()}"
        attributes = {
            "service.name": f"mailing-{service}",
            "service.version": __version__,
            "service.instance.id": instance,
        }
        self._provider = TracerProvider(
            id_generator=self._ids, resource=Resource.create(attributes), shutdown_on_exit=False
        )
        session = requests.Session()
        session.trust_env = False  # no proxy is taken from the environment
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=TIMEOUT, session=session)
        self._processor = BatchSpanProcessor(exporter, max_queue_size=QUEUE, max_export_batch_size=BATCH)
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("mailing", __version__)

    def tell(
        self,
        name: str,
        kind: str,
        trace_id: int,
        span_id: int | None,
        parent: int | None,
        times: tuple[float, float],
        failed: bool,
        attributes: Mapping[str, str | int],
    ) -> None:
        """`times` are the beginning and the end, in seconds since the epoch."""
        began, ended = (int(instant * 1e9) for instant in times)
        context = None
        if parent is not None:
            of_parent = SpanContext(trace_id, parent, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
            context = set_span_in_context(NonRecordingSpan(of_parent))
        self._ids.trace_id, self._ids.span_id = trace_id, span_id
        span = self._tracer.start_span(
            name, context, SpanKind[kind.upper()], attributes=attributes, start_time=began
        )
        if failed:
            span.set_status(Status(StatusCode.ERROR))
        span.end(max(began, ended))

    def close(self) -> None:
        """Sends what is there; gives up when the endpoint does not take it in time."""
        # On its own it would wait for half a minute.
        closing = Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        closing.join(PATIENCE)
