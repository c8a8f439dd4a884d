"""Reply of the provider to one POST: an answer, or none."""

from dataclasses import dataclass

BODY_LIMIT = 4096  # bytes of an answer's body that are read at most


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer. Its body is cut to `BODY_LIMIT` bytes."""

    status: int
    body: bytes
    retry_after: str | None = None  # the header as it came; not read if the status is 200


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No complete answer. `sent=False` proves that the request never left. True means that it may have."""

    sent: bool
    reason: str  # for the log and the message's attempts
