"""Delivery of one message: POST it, repeat a POST that failed quickly, and report the result.

The gate is passed immediately before every POST. A failure that may be over in a moment is repeated in place
a few times. The planner's schedule is for the others.
"""

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_random_exponential

from services.sender.backlog import WaitingMessage
from services.sender.gating import Obstacle, time_allowed
from services.sender.held_job import HeldJob
from services.sender.judging import Verdict, judge
from services.sender.observer import SenderObserver
from services.sender.provider import Provider
from services.sender.reporting import Reporter
from services.sender.send_gate import SendGate
from services.sender.settings import SenderSettings
from shared.contracts import Acceptance, Attempt, JobMessage, Outcome, Result

# A failure that took longer than this is no hiccup. To repeat it in place would only delay other messages.
QUICK_MS = 1_000
FAULT = "fault in the sender, see its log"


class _Timeouts(NamedTuple):
    """Limits of a request, in seconds."""

    request: float
    connect: float


class Delivery:
    """Delivers messages, one at a call."""

    def __init__(
        self,
        provider: Provider,
        gate: SendGate,
        reporter: Reporter,
        observer: SenderObserver,
        settings: SenderSettings,
    ) -> None:
        self._provider = provider
        self._gate = gate
        self._reporter = reporter
        self._observer = observer
        self._timeouts = _Timeouts(
            settings.request_timeout.total_seconds(), settings.connect_timeout.total_seconds()
        )
        self._quick_retries = settings.quick_retries
        self._repeatable = (
            {Outcome.DEFERRED, Outcome.UNCERTAIN} if settings.provider_idempotent else {Outcome.DEFERRED}
        )

    async def deliver(self, waiting: WaitingMessage) -> None:
        """POST the message if nothing is against it, again if that may help, and report the result."""
        _, held_job, message, latest = waiting
        if held_job.is_lost:
            return
        attempts: list[Attempt] = []
        end = await self._attempt(held_job, message, attempts, latest)
        if len(attempts) == 1 and attempts[0].outcome is Outcome.ACCEPTED:
            acceptance = Acceptance(message.id, attempts[0].at_ms, attempts[0].duration_ms)
            self._reporter.add_acceptance(held_job, acceptance)
            return
        # A repeated POST would need a slot of its own.
        if self._quick_retries and held_job.job.slots_ms is None and self._is_worth_repeating(end, attempts):
            end = await self._retrying(attempts)(self._attempt, held_job, message, attempts)
        if attempts or not held_job.is_lost:
            self._report(held_job, message, _result(message, end, attempts))

    def report_fault(self, held_job: HeldJob, message: JobMessage, error: Exception) -> None:
        """Report a message whose delivery failed by a fault of ours: it may have been POSTed."""
        self._observer.delivery_failed(held_job, message, error)
        attempt = Attempt(int(time.time() * 1000), 0, Outcome.UNCERTAIN, None, FAULT)
        result = Result(message_id=message.id, outcome=Outcome.UNCERTAIN, attempts=(attempt,))
        self._report(held_job, message, result)

    async def _attempt(
        self, held_job: HeldJob, message: JobMessage, attempts: list[Attempt], latest: float = math.inf
    ) -> Verdict | Obstacle:
        """POST once, if the gate lets the message pass. Append the attempt to `attempts`."""
        if (obstacle := await self._gate.pass_message(held_job, latest)) is not None:
            return obstacle
        began = time.time()
        timeout = time_allowed(
            held_job.deadlines,
            now=began,
            request_timeout=self._timeouts.request,
            connect_timeout=self._timeouts.connect,
        )
        span = self._observer.post_started(held_job, message)
        try:
            reply = await self._provider.send(
                message.id,
                message.number,
                held_job.job.text,
                timeout=timeout,
                traceparent=None if span is None else span.traceparent,
            )
        except BaseException:
            self._observer.post_aborted()
            raise
        ended = time.time()
        verdict = judge(reply, ended)
        self._gate.learn(verdict)
        attempt = Attempt(
            int(began * 1000),
            int((ended - began) * 1000),
            verdict.outcome,
            verdict.provider_status,
            verdict.provider_text,
        )
        attempts.append(attempt)
        self._observer.post_ended(held_job, message, attempt, ended - began, span)
        return verdict

    def _retrying(self, attempts: Sequence[Attempt]) -> AsyncRetrying:
        return AsyncRetrying(
            stop=stop_after_attempt(self._quick_retries),
            wait=wait_random_exponential(multiplier=0.1, max=1),
            retry=retry_if_result(lambda end: self._is_worth_repeating(end, attempts)),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )

    def _is_worth_repeating(self, end: Verdict | Obstacle, attempts: Sequence[Attempt]) -> bool:
        """Return True if a repeatable POST failed quickly, and the provider named no time to come back."""
        return (
            isinstance(end, Verdict)
            and end.outcome in self._repeatable
            and end.retry_after is None
            and attempts[-1].duration_ms < QUICK_MS
        )

    def _report(self, held_job: HeldJob, message: JobMessage, result: Result) -> None:
        self._reporter.add_results(held_job, [result])
        self._observer.result_decided(held_job, message, result)


def _result(message: JobMessage, end: Verdict | Obstacle, attempts: Sequence[Attempt]) -> Result:
    """Return the result of a message by its last verdict. An obstacle counts only if there was no POST."""
    if isinstance(end, Verdict):
        return Result(
            message_id=message.id, outcome=end.outcome, attempts=tuple(attempts), retry_after=end.retry_after
        )
    if attempts:
        return Result(message_id=message.id, outcome=attempts[-1].outcome, attempts=tuple(attempts))
    return Result(message_id=message.id, outcome=end.outcome, reason=end.reason)
