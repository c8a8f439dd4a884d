"""Dead letters: a message that cannot be handled moves to `<queue>.dead`, with the reason in its headers.

The broker moves messages there by itself, too, without our headers: when they were delivered too often, or
when the reason could not be published.
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
from shared.topology import DEAD_LETTERS, dead_queue

log = structlog.get_logger()

REASON = "x-reason"
QUEUE = "x-queue"
REFUSED_AT = "x-refused-at"
REFUSED_BY = "x-refused-by"


async def refuse(message: AbstractIncomingMessage, queue: str, error: Exception, publisher: Publisher) -> None:
    """Move the message to the queue's dead letters. Nothing waits behind it, and a person can look at it.

    It is acknowledged when the broker has the copy. If the process dies in between, or the broker does not
    confirm the copy, there are two dead letters of it, and never none.
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
    # If the connection is lost just now, the message comes again, and is refused again.
    with suppress(*CONNECTION_ERRORS):
        await settle()


def headers_to_keep(headers: HeadersType) -> HeadersType:
    """Return the headers that belong to the message, and not to us or to the broker."""
    return {name: value for name, value in headers.items() if not name.startswith("x-")}


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A dead letter, as a person sees it. It equals itself when it is listed again.

    It is known by its `id`, because its place in the queue changes with every listing.
    """

    queue: str  # that it came from
    at: str
    by: str
    reason: str
    body: bytes

    @classmethod
    def of(cls, message: AbstractIncomingMessage, queue: str) -> "DeadLetter":
        """Return the dead letter in a message, which came from the queue."""
        headers = message.headers
        if REASON not in headers:
            at, reason = _read_death(headers)
            return cls(queue, at, "RabbitMQ", reason, message.body)
        at, by, reason = (str(headers.get(name, "?")) for name in (REFUSED_AT, REFUSED_BY, REASON))
        return cls(queue, at, by, reason, message.body)

    @property
    def id(self) -> str:
        """Return the same id at each listing. Only dead letters that differ in nothing share it."""
        fields = "\0".join((self.queue, self.at, self.by, self.reason)).encode(errors="replace")
        return sha256(fields + b"\0" + self.body).hexdigest()[:10]

    def line(self) -> str:
        """Return one line with all that may be shown of it."""
        shown = [printable(without_numbers(field)) for field in (self.at, self.by, self.reason)]
        return " | ".join([self.queue, self.id, *shown, f"{len(self.body)} bytes", summarize_body(self.body)])


def _read_death(headers: HeadersType) -> tuple[str, str]:
    """Return time and reason from the header that RabbitMQ writes."""
    deaths = headers.get("x-death")
    last = deaths[0] if isinstance(deaths, list) and deaths else None
    if not isinstance(last, dict):
        return "?", "unknown"
    at = last.get("time")
    return at.isoformat() if isinstance(at, datetime) else "?", str(last.get("reason", "unknown"))
