"""What can come back from the provider for one POST: an answer, or none."""

from dataclasses import dataclass

BODY_LIMIT = 4096  # no more of an answer's body is ever read


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete HTTP answer, or at least the first `BODY_LIMIT` bytes of its body."""

    status: int
    body: bytes
    retry_after: str | None = None  # the header as it came; not looked for in a plain 200


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """No complete answer came. `sent=False` is a proof that the request never left; True means it may have."""

    sent: bool
    reason: str  # for people
