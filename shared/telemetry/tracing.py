"""Traces of a mailing's way, for OpenTelemetry; off unless an endpoint is given.

Nothing is carried from service to service for it but the request id, which goes through events, jobs and reports
anyway: the id of a trace, and of each span that others hang below, is computed from it. A span is told when it is
over. The SDK is imported only if there is an endpoint; without one, `sampled` is false and `tell` does nothing.
"""

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from shared.telemetry.sampling import is_below, threshold

if TYPE_CHECKING:
    from shared.settings import LogSettings
    from shared.telemetry.spans import Spans

Kind = Literal["server", "client", "producer", "consumer", "internal"]
# Which span: its step, and whose it is, such as the ids of a job and its release.
Key = tuple[str, *tuple[int, ...]]

REQUEST: Key = ("request",)
OUTBOX: Key = ("outbox",)
_CONTINUED = re.compile(r"([0-9a-f]{32})(?:-([0-9a-f]{16}))?")
_TRACEPARENT = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")

_spans: "Spans | None" = None
_threshold = 0


@contextmanager
def tracing(service: str, settings: "LogSettings") -> Iterator[None]:
    """Lets spans be told while the block runs; the last of them are sent at its end, if that takes no longer."""
    global _spans, _threshold
    if settings.otel_endpoint is None:
        yield
        return
    from shared.telemetry.spans import Spans

    _spans, _threshold = (
        Spans(service, str(settings.otel_endpoint), settings.host_name),
        threshold(settings.otel_sample),
    )
    try:
        yield
    finally:
        closing, _spans, _threshold = _spans, None, 0
        closing.close()


def is_sampled(job_id: int) -> bool:
    """Return True if the job is traced. Its id alone decides, so all services trace the same jobs."""
    return is_below(job_id, _threshold)


def tell(
    name: str,
    request_id: str | None,
    began: float,
    *,
    kind: Kind = "internal",
    key: Key | None = None,
    under: Key | None = None,
    failed: bool = False,
    attributes: Mapping[str, str | int | None] = MappingProxyType({}),
) -> None:
    """A span that began then, in seconds since the epoch, and is over now.

    `key` is given to a span that others hang below; `under` says below which it hangs itself, if not below the
    caller's own. What has no request id has no trace.
    """
    if _spans is None or request_id is None:
        return
    parent = caller_of(request_id) if under is None else span_id(request_id, under)
    own = None if key is None else span_id(request_id, key)
    told = {name: value for name, value in attributes.items() if value is not None}
    _spans.tell(name, kind, trace_id(request_id), own, parent, (began, time.time()), failed, told)


def is_enabled() -> bool:
    """Return True while spans are recorded."""
    return _spans is not None


def trace_id(request_id: str) -> int:
    """A request id that was made of a `traceparent` begins with the trace's; so do those that we make up."""
    if found := _CONTINUED.fullmatch(request_id):
        return int(found[1], 16) or 1
    return _digest(request_id, 16)


def span_id(request_id: str, key: Key) -> int:
    """The same wherever it is computed."""
    return _digest("/".join((request_id, *map(str, key))), 8)


def caller_of(request_id: str) -> int | None:
    """The caller's span, if it sent a `traceparent`."""
    found = _CONTINUED.fullmatch(request_id)
    return int(found[2], 16) or None if found and found[2] else None


def request_id_of(traceparent: bytes) -> str | None:
    """The request id that lets us continue the caller's trace; None if the header is not W3C's."""
    found = _TRACEPARENT.fullmatch(traceparent)
    return (
        f"{found[1].decode()}-{found[2].decode()}" if found and int(found[1], 16) and int(found[2], 16) else None
    )


def _digest(of: str, size: int) -> int:
    return int.from_bytes(blake2b(of.encode(), digest_size=size).digest()) or 1
