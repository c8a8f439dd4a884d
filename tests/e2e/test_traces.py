"""One trace leads from the POST of a mailing to the record of each message, and nothing private is in it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.e2e.conftest import QUICK
from tests.e2e.system import running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers

TEXT = "Ваш заказ готов"
TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# Each below the one before it.
WAY = ["POST /api/mailing/", "publish sender.jobs", "process sender.jobs", "POST"]


class Collector(ThreadingHTTPServer):
    """Receives traces by OTLP, as Jaeger and others do."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.bodies: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def spans(self) -> list[tuple[str, Span]]:
        """Return all spans that came, each with the name of its service."""
        found = []
        for body in list(self.bodies):
            for of_service in ExportTraceServiceRequest.FromString(body).resource_spans:
                names = {one.key: one.value.string_value for one in of_service.resource.attributes}
                for scope in of_service.scope_spans:
                    found += [(names["service.name"], span) for span in scope.spans]
        return found


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        serving = threading.Thread(target=collector.serve_forever)
        serving.start()
        yield collector
        collector.shutdown()
        serving.join()


async def test_one_trace_leads_from_the_request_to_every_record(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path, collector: Collector
) -> None:
    environment = QUICK | {"MAILING_OTEL_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "100"}
    async with running_system(own_servers, sandbox, tmp_path, senders=1, environment=environment) as system:
        audience = await system.add_audience(3)
        await sandbox.control.behave("reject", for_seconds=600)
        body = {"starts_at": "2026-01-01T00:00:00", "expired_at": "2100-01-01T00:00:00"}
        body |= {"text": TEXT, "filter": audience.tag}
        headers = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
        created = await system.api.post("/api/mailing/", json=body, headers=headers)
        mailing = int(created.raise_for_status().json()["id"])
        assert created.headers["x-request-id"] == f"{TRACE}-{CALLER}"
        await system.until_settled(mailing, 3)
        await sandbox.reset()

        def ours() -> dict[bytes, Span]:
            return {span.span_id: span for _, span in collector.spans() if span.trace_id.hex() == TRACE}

        async def is_complete() -> bool:
            names = [span.name for span in ours().values()]
            return names.count("POST") == 3 and "process planner.reports" in names

        await until(is_complete, timeout=15, what="the trace is complete")
    spans = ours()
    services = {service for service, span in collector.spans() if span.trace_id.hex() == TRACE}
    assert services == {"mailing-api", "mailing-planner", "mailing-sender"}
    (root,) = [span for span in spans.values() if span.parent_span_id.hex() == CALLER]
    assert (root.name, root.kind) == (WAY[0], Span.SPAN_KIND_SERVER)
    assert all(span is root or span.parent_span_id in spans for span in spans.values()), "every parent is there"
    names = {span.name for span in spans.values()}
    assert names == {*WAY, "publish mailing.events", "process planner.events", "expand", "process planner.reports"}
    for post in (span for span in spans.values() if span.name == "POST"):
        assert post.status.code == Status.STATUS_CODE_ERROR
        way = [post]
        while way[-1] is not root:
            way.append(spans[way[-1].parent_span_id])
        assert [span.name for span in reversed(way)] == WAY
        attributes = {one.key: one.value.string_value or one.value.int_value for one in post.attributes}
        assert attributes["mailing_id"] == mailing
        assert (attributes["outcome"], attributes["http.response.status_code"]) == ("rejected", 400)
    recorded = [span for span in spans.values() if span.name == "process planner.reports"]
    assert {spans[span.parent_span_id].name for span in recorded} == {"process sender.jobs"}
    everything = b"".join(collector.bodies)
    assert TEXT.encode() not in everything
    assert not [number for number in audience.numbers if str(number).encode() in everything]
