"""Origin of a change: the request that caused it, and who sent it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Request that causes a change.

    `request_id` is in the log lines of all services, and `traceparent` is its W3C trace context. The other fields
    are for the audit: who did it (`actor`), by which token or user, from which IP address, and the name of the
    operation, such as `mailing.pause`.
    """

    request_id: str | None = None
    traceparent: str | None = None
    actor: str = "system"
    operation: str = "unknown"
    token_id: int | None = None
    user_id: int | None = None
    address: str | None = None


NO_ORIGIN = Origin()
