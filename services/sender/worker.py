"""Worker: the sender's side of one connection to the provider.

The connection calls it back. There is no task and no future for a message.
"""

from services.sender.adapter import Sms
from services.sender.backlog import WaitingMessage
from services.sender.delivery import Delivery
from services.sender.gating import time_allowed
from services.sender.http.exchange import NoAnswer, Reply, Request
from shared.clock import CLOCK
from shared.telemetry.tracing import Span


class DeliveryWorker:
    """A `Worker` of the HTTP engine: it has one message under way at a time."""

    __slots__ = ("_began", "_delivery", "_span", "_waiting")

    def __init__(self, delivery: Delivery) -> None:
        self._delivery = delivery
        self._waiting: WaitingMessage | None = None
        self._began = 0.0
        self._span: Span | None = None

    def take(self) -> tuple[Request, float] | None:
        """Return the request of the next message, and its time limit."""
        delivery = self._delivery
        while (waiting := delivery.next_message()) is not None:
            try:
                return self._begin(delivery, waiting)
            except Exception as error:  # noqa: BLE001 - every message must have a result
                self._waiting = None
                delivery.report_fault(waiting, error)
        return None

    def finish(self, reply: Reply) -> None:
        """Judge the reply, and report the message or repeat its POST."""
        waiting, self._waiting = self._waiting, None
        assert waiting is not None
        delivery = self._delivery
        ended = CLOCK.time()
        try:
            verdict = delivery.adapter.judge(reply, ended)
        except Exception as error:  # noqa: BLE001 - every message must have a result
            delivery.observer.post_aborted()
            delivery.report_fault(waiting, error)
            return
        is_our_silence = isinstance(reply, NoAnswer) and reply.paused
        is_freed = not is_our_silence and delivery.gate.learn(waiting.held_job, verdict)
        seconds = ended - self._began
        delivery.settle(waiting, verdict, self._began, int(seconds * 1000))
        span, self._span = self._span, None
        delivery.observer.post_ended(waiting.held_job, waiting.message, verdict, seconds, span)
        if is_freed:
            delivery.review_blocked(0)

    def _begin(self, delivery: Delivery, waiting: WaitingMessage) -> tuple[Request, float]:
        held_job, message = waiting.held_job, waiting.message
        now = self._began = CLOCK.time()
        sms = Sms(
            message.id,
            message.number,
            held_job.job.text,
            int(held_job.deadlines.send_before - now),
            None if held_job.span is None else self._start_span(delivery, waiting),
        )
        request = delivery.adapter.encode(sms)
        timeout = time_allowed(
            held_job.deadlines,
            now=now,
            request_timeout=delivery.request_timeout,
            connect_timeout=delivery.connect_timeout,
        )
        self._waiting = waiting
        delivery.observer.post_started(held_job, message)
        return request, timeout

    def _start_span(self, delivery: Delivery, waiting: WaitingMessage) -> str | None:
        self._span = delivery.observer.start_post_span(waiting.held_job, waiting.message)
        return None if self._span is None else self._span.traceparent
