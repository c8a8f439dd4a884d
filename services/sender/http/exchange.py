"""Vocabulary of the transport: a request, what can come back for it, and the worker that a connection serves."""

from typing import NamedTuple, Protocol

BODY_LIMIT = 4096  # bytes of an answer's body that are kept; nobody reads more


class RequestHead(NamedTuple):
    """The part of a request that is the same for every message. Build it once and share the object."""

    method: str
    headers: tuple[tuple[str, str], ...] = ()  # without Host and Content-Length


class Request(NamedTuple):
    """One HTTP request. The target is a path with its query, percent-encoded."""

    head: RequestHead
    target: str
    body: bytes = b""


class Answer(NamedTuple):
    """A complete HTTP answer, or at least the first `BODY_LIMIT` bytes of its body."""

    status: int
    body: bytes
    retry_after: str | None = None  # the header's value, not interpreted


class NoAnswer(NamedTuple):
    """No complete answer came.

    `sent=False` proves that no byte of the request was written. `sent=True` means that a byte may have left.
    `paused=True` means that this process was not running for a while, so that the silence may be its own fault.
    """

    sent: bool
    reason: str  # for people
    paused: bool = False


Reply = Answer | NoAnswer


class Worker(Protocol):
    """The consumer's side of one connection. It has at most one request under way.

    `take` and `finish` alternate, are called from the event loop, must not block and must not raise.
    """

    def take(self) -> tuple[Request, float] | None:
        """Return the next request and its time limit in seconds; None if there is nothing to send.

        The request is written before anything else happens in this process.
        """
        ...

    def finish(self, reply: Reply) -> None:
        """Take the reply to the request that `take` returned last."""
        ...


class Engine(Protocol):
    """An HTTP client that serves a fixed number of workers."""

    def wake(self, count: int = 1) -> None:
        """Announce that there may be requests for `count` more workers."""
        ...

    async def close(self) -> None:
        """Close all connections. What is under way ends as `NoAnswer(sent=True)`."""
        ...
