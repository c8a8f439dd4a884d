"""Observer of the API: turns what happened into log lines, metrics and spans.

The code that does the work calls it once for each thing that happened, and logs, counts and traces nothing itself.
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import structlog
from pydantic import ValidationError
from starlette.types import Scope

from services.api.edge.metrics import IN_FLIGHT, PUBLISHED, count_request, route_of
from shared.contracts import EVENT
from shared.ledger.origin import Origin
from shared.ledger.outbox import OutboxRow
from shared.telemetry import tracing
from shared.telemetry.redaction import printable, without_numbers, without_tokens
from shared.topology import EVENTS

log = structlog.get_logger()

_VALID_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")
_IDS_IN_A_LINE = 1_000  # Docker splits lines of more than 16 KB
_PROBES = ("/healthz", "/readyz", "/metrics")  # requested by machines, every few seconds


# Requests


@dataclass(slots=True)
class ObservedRequest:
    """A request that is being answered. `status` is None until the answer begins."""

    scope: Scope
    id: str
    span: tracing.Span | None
    is_probe: bool
    status: int | None = None

    @property
    def path(self) -> str:
        """The path without phone numbers, because a caller may mistake a number for an id, and printable."""
        return printable(without_numbers(without_tokens(self.scope["path"][:200])))

    @property
    def ids(self) -> dict[str, int]:
        """The ids in the path, such as `mailing_id`, by which all lines about one mailing can be found."""
        parameters = self.scope.get("path_params", {}).items()
        return {name: value for name, value in parameters if isinstance(value, int) and not _is_number(value)}


@contextmanager
def observe_request(scope: Scope) -> Iterator[ObservedRequest]:
    """Observe a request from its arrival to its answer. Its id is in every log line of the block."""
    request = _start_request(scope)
    began = time.perf_counter()
    # Ids that are bound in the block, such as that of a new mailing, end with the task. Each request has a task.
    tokens = structlog.contextvars.bind_contextvars(request_id=request.id)
    try:
        with IN_FLIGHT.track_inprogress(), tracing.as_current(request.span):
            yield request
        _request_answered(request, time.perf_counter() - began)
    finally:
        structlog.contextvars.reset_contextvars(**tokens)


def request_failed(request: ObservedRequest) -> None:
    """An exception that nobody expected ended the request. To be called while it is handled."""
    log.exception("request_failed", path=request.path)


def request_authenticated(actor: str) -> None:
    """The token of the request is valid, or access is open. Its log lines carry the name of who sent it."""
    structlog.contextvars.bind_contextvars(actor=actor)


def resource_created(**ids: int) -> None:
    """The request created this, for example `mailing_id=5`. Its log line carries these ids."""
    structlog.contextvars.bind_contextvars(**ids)


def clients_imported(added: Sequence[int], changed: Sequence[int]) -> None:
    """A part of an import is committed. Its lines name the clients, by which `mailing logs` finds them."""
    for event, ids in (("clients_added", added), ("clients_changed", changed)):
        for start in range(0, len(ids), _IDS_IN_A_LINE):
            log.info(event, client_ids=ids[start : start + _IDS_IN_A_LINE])


def database_unavailable(error: Exception) -> None:
    """A request was refused because PostgreSQL did not answer."""
    log.warning("database_unavailable", waiting_for="PostgreSQL", error=getattr(error, "reason", str(error)))


def access_opened(host: str) -> None:
    """The API starts without asking for tokens."""
    log.warning("access_opened", host=host, setting="MAILING_ACCESS=open", effect="every caller may do everything")


def issuer_unavailable(error: Exception) -> None:
    """A login was refused because the identity provider did not answer."""
    log.warning("identity_provider_unavailable", error=str(error))


@contextmanager
def observe_unread_request(event: str) -> Iterator[str]:
    """Log that a request never reached the application, and give it an id."""
    request_id = uuid4().hex
    with structlog.contextvars.bound_contextvars(request_id=request_id):
        log.info(event)
        yield request_id


def current_request_id() -> str | None:
    """Return the id of the request that this task answers."""
    request_id = structlog.contextvars.get_contextvars().get("request_id")
    return request_id if isinstance(request_id, str) else None


def current_origin() -> Origin:
    """Return the id and the trace context of the request that this task answers."""
    return Origin(current_request_id(), tracing.current_traceparent())


def _start_request(scope: Scope) -> ObservedRequest:
    headers = dict(scope["headers"])
    is_probe = scope["path"].rstrip("/") in _PROBES
    traceparent = headers.get(b"traceparent", b"").decode("latin-1")
    span = None if is_probe else tracing.start_trace("request", traceparent or None)
    return ObservedRequest(
        scope, _request_id(headers.get(b"x-request-id", b""), traceparent, span), span, is_probe
    )


def _request_id(given: bytes, traceparent: str, span: tracing.Span | None) -> str:
    """Return the caller's id. Without one, it is made of the caller's `traceparent`, or of the span's trace."""
    if _VALID_ID.fullmatch(given):
        return given.decode()
    if caller := _TRACEPARENT.fullmatch(traceparent):
        return f"{caller[1]}-{caller[2]}"
    return uuid4().hex if span is None else span.trace_id


def _request_answered(request: ObservedRequest, seconds: float) -> None:
    """Log one line without the query, because a query may contain a phone number."""
    ids = request.ids
    (log.debug if request.is_probe else log.info)(
        "request_answered",
        method=request.scope["method"],
        path=request.path,
        status=request.status,
        duration_ms=round(seconds * 1000, 1),
        **ids,
    )
    if not request.is_probe and request.status is not None:
        count_request(request.scope, request.status, seconds)
    if request.span is not None:
        _end_span(request, request.span, ids)


def _end_span(request: ObservedRequest, span: tracing.Span, ids: dict[str, int]) -> None:
    method, route = request.scope["method"], route_of(request.scope)
    http = {"http.request.method": method, "http.route": route, "http.response.status_code": request.status}
    tracing.end_span(
        span,
        name=f"{method} {route}",
        failed=request.status is None or request.status >= 500,
        attributes={**http, **ids, "request_id": request.id},
    )


def _is_number(given: int) -> bool:
    """Return True for a phone number, which a caller may mistake for an id."""
    return without_numbers(str(given)) != str(given)


# The outbox


@dataclass(slots=True)
class Publication:
    """Entries of the outbox that are being published. Traced events carry the span of their publication."""

    entries: list[OutboxRow]
    _spans: list[tracing.Span] = field(default_factory=list)


def publication_started(entries: list[OutboxRow]) -> Publication:
    """These entries are about to be published. The caller publishes those of the result."""
    publication = Publication(entries)
    if tracing.is_enabled():
        publication.entries = [_start_span(entry, publication._spans) for entry in entries]
    return publication


def publication_committed(publication: Publication) -> None:
    """RabbitMQ has taken all entries, and they are deleted from the outbox."""
    PUBLISHED.inc(len(publication.entries))
    for span in publication._spans:
        tracing.end_span(span)


def _start_span(entry: OutboxRow, spans: list[tracing.Span]) -> OutboxRow:
    if entry.exchange != EVENTS:
        return entry
    try:
        event = EVENT.validate_json(entry.body)
    except ValidationError:  # of another version: it is published, but not traced
        return entry
    attributes: tracing.Attributes = {"event": event.kind, "mailing_id": event.mailing_id}
    span = tracing.start_span(f"publish {EVENTS}", event.traceparent, kind="producer", attributes=attributes)
    if span is None:
        return entry
    spans.append(span)
    carried = event.model_copy(update={"traceparent": span.traceparent})
    return entry._replace(body=carried.model_dump_json().encode())


# The process


def api_stopped() -> None:
    """The last request is answered and the server is closed."""
    log.info("api_stopped")
