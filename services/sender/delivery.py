"""Delivery: a bounded number of workers POST the messages of the jobs in hand, and report what came of each.

A message is looked at by `gating.obstacle` immediately before every POST. What fails in a way that may be over
in a moment is repeated in place a few times; the planner's schedule is for the rest.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import suppress

import structlog
from tenacity import AsyncRetrying, retry_if_result, stop_after_attempt, wait_random_exponential

from services.sender.backlog import Backlog, Lane, Waiting
from services.sender.breaker import Breaker
from services.sender.gating import CIRCUIT_OPEN, Obstacle, obstacle, time_allowed
from services.sender.judging import Verdict, judge
from services.sender.metrics import BREAKER_OPEN, BREAKER_OPENED, POSTS
from services.sender.provider import Provider
from services.sender.reporting import Reporter, Run
from services.sender.settings import SenderSettings
from shared.contracts import Acceptance, Attempt, Job, JobMessage, Outcome, Result, ReturnReason
from shared.telemetry import tracing
from shared.telemetry.redaction import masked

log = structlog.get_logger()

# A failure that took longer than this is no hiccup: another try in place would only hold up the others.
QUICK_MS = 1_000
FAULT = "fault in the sender, see its log"


class Delivery:
    """The messages in hand, and the workers on them."""

    def __init__(self, provider: Provider, reporter: Reporter, settings: SenderSettings) -> None:
        self._provider = provider
        self._reporter = reporter
        self._concurrency = settings.sender_concurrency
        self._request_timeout = settings.request_timeout.total_seconds()
        self._connect_timeout = settings.connect_timeout.total_seconds()
        self._guard = settings.deadline_guard.total_seconds()
        self._breaker = Breaker(settings.breaker_threshold, settings.breaker_probe_every.total_seconds())
        self._closed_or_over = asyncio.Event()
        self._quick_retries = settings.quick_retries
        self._repeatable = (
            {Outcome.DEFERRED, Outcome.UNCERTAIN} if settings.provider_idempotent else {Outcome.DEFERRED}
        )
        self._sample = settings.message_sample()
        self._backlog = Backlog()
        self._timing: set[asyncio.Task[None]] = set()
        self._least_revision: dict[int, int] = {}
        self._stopping = False

    def count_waiting(self) -> int:
        """How many messages are in line for a POST; those that have slots only when these have come."""
        return self._backlog.qsize()

    def take(self, run: Run) -> None:
        """Puts a job's messages in line; those with slots, each when its slot comes."""
        if run.job.slots_ms is None:
            lane = Lane.EXPRESS if run.express else Lane.ORDINARY
            for message in run.job.messages:
                self._backlog.put_nowait(Waiting(lane, run, message, math.inf))
        else:
            timing = asyncio.create_task(self._keep_time(run, run.job.slots_ms))
            self._timing.add(timing)
            timing.add_done_callback(self._timing.discard)

    async def _keep_time(self, run: Run, slots_ms: Sequence[int]) -> None:
        lane = Lane.EXPRESS if run.express else Lane.TIMED
        in_time = iter(zip(run.job.messages, slots_ms, strict=True))
        try:
            for message, slot_ms in in_time:
                slot = slot_ms / 1000
                waiting = Waiting(lane, run, message, slot + run.job.slot_lasts_ms / 1000)
                try:
                    if (wait := slot - time.time()) > 0:
                        await asyncio.sleep(wait)
                finally:  # also when there is no more time: then it comes back as not sent
                    self._backlog.put_nowait(waiting)
        finally:
            for message, _ in in_time:
                self._backlog.put_nowait(Waiting(lane, run, message, 0.0))

    def give_back(self, run: Run, reason: ReturnReason) -> None:
        """Reports all of a job's messages as untried."""
        self._reporter.tell(run, [_returned(message, reason) for message in run.job.messages])

    def stop_mailings(self, revisions: dict[int, int]) -> None:
        """From now on, nothing of these mailings is sent that was released below the revision."""
        for mailing_id, revision in revisions.items():
            self._least_revision[mailing_id] = max(revision, self._least_revision.get(mailing_id, 0))

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._concurrency):
                workers.create_task(self._work())

    async def drain(self) -> None:
        """Starts nothing new, and returns when all that was in hand has a result."""
        self._stopping = True
        self._closed_or_over.set()
        for timing in self._timing:
            timing.cancel()
        await asyncio.gather(*self._timing, return_exceptions=True)
        await self._backlog.join()

    async def _work(self) -> None:
        while True:
            _, run, message, latest = await self._backlog.get()
            try:
                await self._deliver(run, message, latest)
            except Exception as error:
                log.error("delivery_failed", **_ids(run, message), exc_info=error)
                attempt = Attempt(int(time.time() * 1000), 0, Outcome.UNCERTAIN, None, FAULT)
                self._report(run, message, Outcome.UNCERTAIN, [attempt])
            finally:
                self._backlog.task_done()

    async def _deliver(self, run: Run, message: JobMessage, latest: float) -> None:
        """POSTs one message, and again if that may help, and reports the result."""
        if run.lost:
            return
        attempts: list[Attempt] = []
        came = await self._attempt(run, message, attempts, latest)
        if len(attempts) == 1 and attempts[0].outcome is Outcome.ACCEPTED:
            self._reporter.accept(run, Acceptance(message.id, attempts[0].at_ms, attempts[0].duration_ms))
            return
        # A repeat would need a slot of its own.
        if self._quick_retries and run.job.slots_ms is None and self._is_worth_repeating(came, attempts):
            came = await self._retrying(attempts)(self._attempt, run, message, attempts)
        if isinstance(came, Verdict):
            self._report(run, message, came.outcome, attempts, retry_after=came.retry_after)
        elif attempts:  # what came of the POST counts, not what kept it from being repeated
            self._report(run, message, attempts[-1].outcome, attempts)
        elif not run.lost:
            self._report(run, message, came.outcome, attempts, reason=came.reason)

    async def _attempt(
        self, run: Run, message: JobMessage, attempts: list[Attempt], latest: float = math.inf
    ) -> Verdict | Obstacle:
        """One POST, if nothing speaks against it; adds to `attempts`."""
        job = run.job
        if (found := self._obstacle(run, latest)) is not None:
            return found
        if not self._breaker.admits(time.monotonic()):
            if job.slots_ms is not None:  # a slot waits for nobody
                return CIRCUIT_OPEN
            # What goes back at once is soon here again: a provider that is out must not keep all others busy.
            await self._until_probe()
            if (found := self._obstacle(run, latest)) is not None:
                return found
            if not self._breaker.admits(time.monotonic()):
                return CIRCUIT_OPEN
        began = time.time()
        allowed = time_allowed(
            run.bounds,
            now=began,
            request_timeout=self._request_timeout,
            connect_timeout=self._connect_timeout,
        )
        told = self._sample.is_active and self._sample.includes(message.id)
        if told:
            self._sample.log("message_posted", **_ids(run, message), number=masked(message.number))
        span = None if run.span is None else _start_span(run.span, job, message)
        traceparent = tracing.traceparent_of(span)
        POSTS.in_flight += 1
        try:
            reply = await self._provider.send(
                message.id, message.number, job.text, timeout=allowed, traceparent=traceparent
            )
        finally:
            POSTS.in_flight -= 1
        ended = time.time()
        verdict = judge(reply, ended)
        if self._breaker.learn(verdict, time.monotonic()):
            self._tell_of_breaker(verdict)
        took = ended - began
        POSTS.ended(verdict.outcome, took)
        duration_ms = int(took * 1000)
        attempts.append(
            Attempt(
                int(began * 1000), duration_ms, verdict.outcome, verdict.provider_status, verdict.provider_text
            )
        )
        if span is not None:
            _end_span(span, verdict)
        if told:
            fields = {"outcome": verdict.outcome, "provider_status": verdict.provider_status}
            self._sample.log("message_answered", **_ids(run, message), **fields, duration_ms=duration_ms)
        return verdict

    def _obstacle(self, run: Run, latest: float) -> Obstacle | None:
        job = run.job
        return obstacle(
            run.bounds,
            now=time.time(),
            guard=self._guard,
            revision=job.revision,
            least_revision=self._least_revision.get(job.mailing_id, 0),
            stopping=self._stopping or run.lost,
            latest=latest,
        )

    async def _until_probe(self) -> None:
        """Waits for the next probe's turn, the closing of the breaker, or the end.

        All wake up together: one is the probe, and the others go back as one job.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(self._breaker.until_probe(time.monotonic())):
                await self._closed_or_over.wait()

    def _tell_of_breaker(self, verdict: Verdict) -> None:
        BREAKER_OPEN.set(self._breaker.is_open)
        if self._breaker.is_open:
            self._closed_or_over.clear()
            BREAKER_OPENED.inc()
            log.warning("circuit_opened", waiting_for="the provider", provider_status=verdict.provider_status)
        else:
            self._closed_or_over.set()
            log.info("circuit_closed")

    def _retrying(self, attempts: Sequence[Attempt]) -> AsyncRetrying:
        return AsyncRetrying(
            stop=stop_after_attempt(self._quick_retries),
            wait=wait_random_exponential(multiplier=0.1, max=1),
            retry=retry_if_result(lambda came: self._is_worth_repeating(came, attempts)),
            retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
        )

    def _is_worth_repeating(self, came: Verdict | Obstacle, attempts: Sequence[Attempt]) -> bool:
        """Whether a POST can be repeated, failed quickly, and the provider named no time to come back."""
        return (
            isinstance(came, Verdict)
            and came.outcome in self._repeatable
            and came.retry_after is None
            and attempts[-1].duration_ms < QUICK_MS
        )

    def _report(
        self,
        run: Run,
        message: JobMessage,
        outcome: Outcome,
        attempts: Sequence[Attempt],
        *,
        retry_after: float | None = None,
        reason: ReturnReason | None = None,
    ) -> None:
        result = Result(
            message_id=message.id,
            outcome=outcome,
            attempts=tuple(attempts),
            retry_after=retry_after,
            reason=reason,
        )
        self._reporter.tell(run, [result])
        if attempts:
            last = attempts[-1]
            log.info(
                "message_not_accepted" if outcome is not Outcome.ACCEPTED else "message_accepted_at_last",
                **_ids(run, message),
                number=masked(message.number),
                outcome=outcome,
                posts=len(attempts),
                provider_status=last.provider_status,
            )
        elif self._sample.is_active and self._sample.includes(message.id):
            self._sample.log("message_not_posted", **_ids(run, message), outcome=outcome, reason=reason)


def _start_span(parent: tracing.Span, job: Job, message: JobMessage) -> tracing.Span | None:
    ids: tracing.Attributes = {
        "mailing_id": job.mailing_id,
        "message_id": message.id,
        "http.request.method": "POST",
    }
    return tracing.start_span("POST", parent.traceparent, kind="client", attributes=ids)


def _end_span(span: tracing.Span, verdict: Verdict) -> None:
    answer = {"outcome": verdict.outcome, "http.response.status_code": verdict.provider_status}
    tracing.end_span(span, failed=verdict.outcome is not Outcome.ACCEPTED, attributes=answer)


def _ids(run: Run, message: JobMessage) -> dict[str, object]:
    """What a line of the log about the message says of it."""
    client_id = run.clients_of({message.id})[message.id]
    return {**run.ids, "message_id": message.id, **({"client_id": client_id} if client_id else {})}


def _returned(message: JobMessage, reason: ReturnReason) -> Result:
    return Result(message_id=message.id, outcome=Outcome.RETURNED, reason=reason)
