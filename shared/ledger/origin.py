"""Origin of a change: the request that caused it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """A request's id, which the log lines of all services carry, and its W3C trace context."""

    request_id: str | None = None
    traceparent: str | None = None


NO_ORIGIN = Origin()
