"""Dead letters: what could not be handled leaves its queue for `<queue>.dead`, with the reason in its headers.

The broker sends messages there by itself as well, without our words: when they were delivered too often, or when
the reason could not be published.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

import structlog
from aio_pika.abc import AbstractIncomingMessage, HeadersType

from shared.broker.connection import CONNECTION_ERRORS
from shared.broker.publisher import Publisher
from shared.contracts import utc_now
from shared.errors import NotPublished, PublishUnknown
from shared.telemetry.metrics import DEAD_LETTERED
from shared.telemetry.redaction import describe_error, ids_in_body, printable, summarize_body, without_numbers
from shared.topology import DEAD_LETTERS

log = structlog.get_logger()

REASON = "x-reason"
QUEUE = "x-queue"
REFUSED_AT = "x-refused-at"
REFUSED_BY = "x-refused-by"


def dead_queue(queue: str) -> str:
    """Where the queue's dead letters are; also the routing key to it."""
    return f"{queue}.dead"


async def refuse(message: AbstractIncomingMessage, queue: str, error: Exception, publisher: Publisher) -> None:
    """Moves the message to the queue's dead letters: nothing waits behind it, and a person can look at it.

    It is acknowledged when the broker has the copy. Whoever dies in between, or does not learn whether it has,
    leaves two dead letters of it, and never none.
    """
    reason = describe_error(error)
    headers: HeadersType = {
        **headers_to_keep(message.headers),
        REASON: reason,
        QUEUE: queue,
        REFUSED_AT: utc_now().isoformat(timespec="milliseconds"),
        REFUSED_BY: publisher.name.removesuffix(" publisher"),
    }
    settle: Callable[[], Awaitable[None]]
    try:
        await publisher.publish(DEAD_LETTERS, dead_queue(queue), message.body, headers=headers)
        settle = message.ack
    except (NotPublished, PublishUnknown) as failure:
        log.warning("reason_not_published", queue=queue, waiting_for="RabbitMQ", error=str(failure))
        settle = message.reject  # without requeueing: the broker moves it
    DEAD_LETTERED.labels(queue).inc()
    log.error(
        "message_dead_lettered", queue=queue, reason=reason, size=len(message.body), **ids_in_body(message.body)
    )
    # If the connection went away just now, the message comes again, and here too.
    with suppress(*CONNECTION_ERRORS):
        await settle()


def headers_to_keep(headers: HeadersType) -> HeadersType:
    """Those that belong to the message, and not to us or to the broker."""
    return {name: value for name, value in headers.items() if not name.startswith("x-")}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter as a person sees it; equal to another look at the same one.

    It is known by `id`, as its place in the queue changes: what was looked at goes behind what was looked at
    before.
    """

    queue: str  # that it came from
    at: str
    by: str
    reason: str
    body: bytes

    @classmethod
    def of(cls, message: AbstractIncomingMessage, queue: str) -> "DeadLetter":
        headers = message.headers
        if REASON not in headers:
            at, reason = _told_by_broker(headers)
            return cls(queue, at, "RabbitMQ", reason, message.body)
        at, by, reason = (str(headers.get(name, "?")) for name in (REFUSED_AT, REFUSED_BY, REASON))
        return cls(queue, at, by, reason, message.body)

    @property
    def id(self) -> str:
        """The same at each look. Shared only by those that differ in nothing."""
        told = "\0".join((self.queue, self.at, self.by, self.reason)).encode(errors="replace")
        return sha256(told + b"\0" + self.body).hexdigest()[:10]

    def line(self) -> str:
        """All that may be shown of it."""
        told = [printable(without_numbers(word)) for word in (self.at, self.by, self.reason)]
        return " | ".join([self.queue, self.id, *told, f"{len(self.body)} bytes", summarize_body(self.body)])


def _told_by_broker(headers: HeadersType) -> tuple[str, str]:
    """When, and why, by the header that RabbitMQ writes."""
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(last, dict):
        return "?", "unknown"
    at = last.get("time")
    return at.isoformat() if isinstance(at, datetime) else "?", str(last.get("reason", "unknown"))
