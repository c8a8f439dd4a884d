"""Exchanges and queues of the broker, as data, with the reason for each.

Declaring is idempotent. Every service declares all of it on every connection, so it does not matter which one
starts first. Queues are quorum queues. Each has an explicit positive delivery limit, because RabbitMQ 3.10
has none by default and loses a message at its first requeue with a limit of -1. Each has a dead-letter queue,
`<queue>.dead`.
"""

from dataclasses import dataclass, field

from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractQueue
from aiormq.abc import FieldTable

TIMEOUT = 10.0  # seconds for each declaration

EVENTS = "mailing.events"
JOBS = "messages"
REPORTS = "reports"
CONTROL = "mailing.control"
QUESTIONS = "questions"
NOTIFICATIONS = "notifications"
DEAD_LETTERS = "dead-letters"

WAKE = "wake"  # routing key of a wake-up for a notifier

PLANNER_EVENTS = "planner.events"
PLANNER_REPORTS = "planner.reports"
PLANNER_QUESTIONS = "planner.questions"
NOTIFIER_WAKES = "notifier.wakes"
SENDER_JOBS = "sender.jobs"
SENDER_SLOTS = "sender.slots"
SENDER_SINGLES = "sender.express"  # an old name: single messages were once called express

EXCHANGE_TYPES = {
    EVENTS: ExchangeType.TOPIC,  # routing key: the event's kind
    JOBS: ExchangeType.DIRECT,
    REPORTS: ExchangeType.DIRECT,
    CONTROL: ExchangeType.FANOUT,  # every sender receives every stop
    QUESTIONS: ExchangeType.DIRECT,
    NOTIFICATIONS: ExchangeType.DIRECT,
    DEAD_LETTERS: ExchangeType.DIRECT,
}


def dead_queue(queue: str) -> str:
    """Return the name of a queue's dead-letter queue, which is also the routing key to it."""
    return f"{queue}.dead"


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue, bound to one exchange."""

    name: str
    exchange: str
    routing_key: str
    delivery_limit: int = 20
    arguments: FieldTable = field(default_factory=dict)
    dead_letters: bool = True

    def all_arguments(self) -> FieldTable:
        """Arguments with which the queue is declared."""
        routed: FieldTable = {
            "x-dead-letter-exchange": DEAD_LETTERS,
            "x-dead-letter-routing-key": dead_queue(self.name),
        }
        return {
            "x-queue-type": "quorum",
            "x-delivery-limit": self.delivery_limit,
            **(routed if self.dead_letters else {}),
            **self.arguments,
        }


QUEUES = (
    Queue(PLANNER_EVENTS, EVENTS, "mailing.*"),
    Queue(SENDER_JOBS, JOBS, "job"),
    # Jobs under a rate limit have a queue of their own, because a sender holds many of them while they wait for
    # their slots.
    Queue(SENDER_SLOTS, JOBS, "slot"),
    # Single messages have a queue of their own, so that they wait behind no mailing.
    Queue(SENDER_SINGLES, JOBS, "express"),
    # Reports are recorded in order, by one planner at a time. A planner holds many of them. If it dies, each
    # one counts as delivered once more, so the limit is higher.
    Queue(PLANNER_REPORTS, REPORTS, "report", 100, {"x-single-active-consumer": True}),
    # A sender asks which stops are in force. The answer is useful for seconds only, so old questions expire.
    Queue(PLANNER_QUESTIONS, QUESTIONS, "stops", 20, {"x-message-ttl": 5_000}, dead_letters=False),
    # A notifier also looks by itself, so a wake-up is useful for seconds only. Without a notifier, they expire.
    Queue(NOTIFIER_WAKES, NOTIFICATIONS, WAKE, 20, {"x-message-ttl": 5_000}, dead_letters=False),
)


async def declare(channel: AbstractChannel) -> dict[str, AbstractQueue]:
    """Declare all exchanges and queues; return the queues by name."""
    for name, kind in EXCHANGE_TYPES.items():
        await channel.declare_exchange(name, kind, durable=True, timeout=TIMEOUT)
    return {queue.name: await _declare_queue(channel, queue) for queue in QUEUES}


async def _declare_queue(channel: AbstractChannel, queue: Queue) -> AbstractQueue:
    if queue.dead_letters:
        arguments: FieldTable = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
        name = dead_queue(queue.name)
        dead = await channel.declare_queue(name, durable=True, arguments=arguments, timeout=TIMEOUT)
        await dead.bind(DEAD_LETTERS, name, timeout=TIMEOUT)
    declared = await channel.declare_queue(
        queue.name, durable=True, arguments=queue.all_arguments(), timeout=TIMEOUT
    )
    await declared.bind(queue.exchange, queue.routing_key, timeout=TIMEOUT)
    return declared
