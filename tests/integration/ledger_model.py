"""A model of what is around the ledger: a clock, the wire, senders that die, and a provider.

What travels is real (`shared.contracts`, as JSON), and so is the sender's gate; time passes only when it is told
to. The model knows what the ledger cannot know: what the provider really did, and of which messages somebody
may have lost a result, so that a second POST of them is nobody's fault.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import NamedTuple

from services.sender.gating import JobDeadlines, StoppedMailings, find_obstacle
from shared.contracts import (
    JOB,
    RECLAIM,
    REPORT,
    STOPS,
    Acceptance,
    Attempt,
    Job,
    JobMessage,
    JobReport,
    Outcome,
    Reclaim,
    Report,
    Result,
    ReturnReason,
    Stops,
)
from shared.errors import NotPublished, PublishUnknown
from shared.topology import CONTROL, EVENTS, JOBS

BEGINNING = datetime(2100, 1, 1, tzinfo=UTC)  # of all histories: what carries an earlier time is by another clock
GUARD = 0.1  # seconds before the deadline in which no POST begins


class Clock:
    """The time of everybody."""

    def __init__(self) -> None:
        self.reset()

    def __call__(self) -> datetime:
        return self.now

    def reset(self) -> None:
        self.now = BEGINNING

    def pass_(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    @property
    def ms(self) -> int:
        return round(self.now.timestamp() * 1000)


class Answer(Enum):
    """Reaction of the provider to a POST."""

    TAKES = "takes"
    REFUSES = "refuses"
    BUSY = "is busy"
    TAKES_SILENTLY = "takes, and no answer comes"
    SILENT = "does not take, and no answer comes"


_OUTCOMES = {
    Answer.TAKES: Outcome.ACCEPTED,
    Answer.REFUSES: Outcome.REJECTED,
    Answer.BUSY: Outcome.DEFERRED,
    Answer.TAKES_SILENTLY: Outcome.UNCERTAIN,
    Answer.SILENT: Outcome.UNCERTAIN,
}


class Provider:
    """Makes up its mind on a message once: what it took it does not refuse later, nor the other way round."""

    def __init__(self, *, idempotent: bool) -> None:
        self.idempotent = idempotent
        self.accepted: set[int] = set()
        self.refused: set[int] = set()
        self.doubtful: set[int] = set()  # a result of theirs may be lost or late: they may be POSTed again
        self._posts: dict[int, list[Outcome]] = {}

    def post(self, message_id: int, answer: Answer) -> Outcome:
        """Return the outcome that the sender reports. Raises AssertionError for a POST that is not allowed."""
        self._check_that_not_repeated(message_id)
        if message_id in self.refused:
            answer = {Answer.TAKES: Answer.REFUSES, Answer.TAKES_SILENTLY: Answer.SILENT}.get(answer, answer)
        if message_id in self.accepted and answer is Answer.REFUSES:
            answer = Answer.TAKES
        if answer in {Answer.TAKES, Answer.TAKES_SILENTLY}:
            self.accepted.add(message_id)
        if answer is Answer.REFUSES:
            self.refused.add(message_id)
        self._posts.setdefault(message_id, []).append(_OUTCOMES[answer])
        return _OUTCOMES[answer]

    @property
    def posts_made(self) -> int:
        return sum(map(len, self._posts.values()))

    def may_be_repeated(self, outcome: Outcome) -> bool:
        """Return True if a POST with this outcome may be repeated."""
        return outcome is Outcome.DEFERRED or (self.idempotent and outcome is Outcome.UNCERTAIN)

    def _check_that_not_repeated(self, message_id: int) -> None:
        before = self._posts.get(message_id, [])
        excused = self.idempotent and message_id in self.doubtful
        assert excused or all(map(self.may_be_repeated, before)), f"{message_id} is POSTed again after {before}"


@dataclass(slots=True, eq=False)
class Run:
    """A job in a sender's hands."""

    job: Job
    todo: list[JobMessage]
    unconfirmed: int
    accepted: list[Acceptance] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    told: set[int] = field(default_factory=set)  # messages whose result was published, confirmed or not
    requeued: bool = False  # the broker has given the job to others, whether the sender knows or not
    lost: bool = False  # and it knows

    @property
    def untold(self) -> set[int]:
        """The messages whose result the broker may not have."""
        return {m.id for m in self.todo} | {w.message_id for w in self.accepted} | _ids(self.results)

    def is_live(self, now: datetime) -> bool:
        """Return True if no other sender can have its messages."""
        return not self.requeued and now < self.job.lease_until

    def give_back(self, reason: ReturnReason) -> None:
        """All of the job comes back."""
        self.results += [Result(message_id=m.id, outcome=Outcome.RETURNED, reason=reason) for m in self.todo]
        self.todo.clear()


def _ids(results: Iterable[Result]) -> set[int]:
    return {result.message_id for result in results}


class Circumstances(NamedTuple):
    """Circumstances of one message: the provider's answers in turn, or an open circuit breaker."""

    answers: Sequence[Answer]
    circuit_open: bool = False
    retry_after: float | None = None


class Sender:
    """The machine of `services.sender`: a gate before every POST, results that wait to be told, runs that may
    be lost with the connection that they came over."""

    def __init__(
        self, name: str, clock: Clock, provider: Provider, stops: Stops, note: Callable[[Report], None]
    ) -> None:
        self.name = name
        self._note = note
        self.runs: list[Run] = []
        self.inbox: list[Stops] = []
        self.connected = True
        self.stopping = False
        self._clock = clock
        self._provider = provider
        self._stopped_mailings = StoppedMailings()
        self.hear(stops)

    def hear(self, stops: Stops) -> None:
        self._stopped_mailings.add(stops.revisions)

    def hear_all(self) -> None:
        while self.inbox:
            self.hear(self.inbox.pop(0))

    @property
    def busy(self) -> list[Run]:
        """The runs with messages that were not begun."""
        return [run for run in self.runs if run.todo]

    def take(self, job: Job, *, redelivered: bool) -> None:
        run = Run(job, list(job.messages), len(job.messages))
        self.runs.append(run)
        if redelivered:
            run.give_back(ReturnReason.REDELIVERED)

    def deliver(self, run: Run, found: Circumstances) -> None:
        """Does one message of the run."""
        message = run.todo.pop(0)
        attempts: list[Attempt] = []
        for answer in found.answers:
            hindrance = self._obstacle(run)
            if hindrance is None and found.circuit_open:
                hindrance = (Outcome.RETURNED, ReturnReason.CIRCUIT_OPEN)
            if hindrance is not None:
                if not attempts:
                    outcome, reason = hindrance
                    run.results.append(Result(message_id=message.id, outcome=outcome, reason=reason))
                    return
                break
            assert self._clock.now < min(run.job.send_before, run.job.lease_until), f"{message.id} is POSTed late"
            if run.job.must_note:
                self._note(self._begins(run.job, message.id))
            outcome = self._provider.post(message.id, answer)
            attempts.append(Attempt(self._clock.ms, 1, outcome, None, None))
            self._clock.pass_(0.002)
            if not self._provider.may_be_repeated(outcome):
                break
        self._keep(run, message.id, tuple(attempts), found.retry_after)

    def _begins(self, job: Job, message_id: int) -> Report:
        part = JobReport(job_id=job.job_id, release=job.release, mailing_id=job.mailing_id, begun_to=message_id)
        return Report(sender=self.name, jobs=(part,))

    def lose(self) -> None:
        """Notices that the connection is gone, and gives back what it has not begun."""
        for run in self.runs:
            run.lost = True
            run.give_back(ReturnReason.SHUTDOWN)

    def report(self, *, confirmed: bool) -> Report | None:
        """All that there is to tell. What is not confirmed is told again."""
        telling = [run for run in self.runs if run.accepted or run.results]
        parts = tuple(
            JobReport(
                job_id=run.job.job_id,
                release=run.job.release,
                mailing_id=run.job.mailing_id,
                accepted=tuple(run.accepted),
                results=tuple(run.results),
            )
            for run in telling
        )
        for run in telling:
            run.told |= run.untold - {message.id for message in run.todo}
        if confirmed:
            for run in telling:
                run.unconfirmed -= len(run.accepted) + len(run.results)
                run.accepted, run.results = [], []
            # With everything told, a job is acknowledged; one that was lost is somebody else's.
            self.runs = [run for run in self.runs if run.unconfirmed and not (run.lost and not run.untold)]
        return Report(sender=self.name, jobs=parts) if parts else None

    def _obstacle(self, run: Run) -> tuple[Outcome, ReturnReason | None] | None:
        found = find_obstacle(
            JobDeadlines.of(run.job),
            now=self._clock.now.timestamp(),
            guard=GUARD,
            is_stopped=self._stopped_mailings.includes(run.job),
            is_shutdown=self.stopping,
        )
        return None if found is None else (found.outcome, found.reason)

    def _keep(self, run: Run, message_id: int, attempts: tuple[Attempt, ...], retry_after: float | None) -> None:
        last = attempts[-1]
        if len(attempts) == 1 and last.outcome is Outcome.ACCEPTED:
            run.accepted.append(Acceptance(message_id, last.at_ms, last.duration_ms))
            return
        run.results.append(
            Result(message_id=message_id, outcome=last.outcome, attempts=attempts, retry_after=retry_after)
        )


class Fate(Enum):
    """Fate of a job that a planner publishes."""

    ARRIVES = "arrives"
    REFUSED = "is refused"
    ARRIVES_UNCONFIRMED = "arrives, and the planner does not know"
    LOST = "is lost, and the planner does not know"


class Waiting(NamedTuple):
    """A job in the queue."""

    job: Job
    redelivered: bool

    @property
    def order(self) -> tuple[int, int, bool]:
        return self.job.job_id, self.job.release, self.redelivered


class Wire:
    """RabbitMQ: the queues of jobs and reports, and the stops. Takes the place of a `Publisher`."""

    def __init__(self) -> None:
        self.jobs: list[Waiting] = []
        self.reports: list[Report | Reclaim] = []
        self.notes: list[Report] = []  # of what begins; a queue that loses them is no queue
        self.senders: list[Sender] = []
        self.fates: list[Fate] = [Fate.ARRIVES]  # of the jobs published next
        self.handed_out: list[Job] = []  # since the list was last emptied

    async def publish(self, exchange: str, routing_key: str, body: bytes, *, mandatory: bool = True) -> None:
        if exchange == JOBS:
            self._publish_job(JOB.validate_json(body))
        elif exchange == CONTROL:
            for sender in self.senders:
                if sender.connected:
                    sender.inbox.append(STOPS.validate_json(body))
        else:
            assert exchange == EVENTS

    def publish_report(self, report: Report | Reclaim) -> None:
        body = report.model_dump_json(exclude_defaults=True)
        self.reports.append((REPORT if isinstance(report, Report) else RECLAIM).validate_json(body))

    def note(self, note: Report) -> None:
        self.notes.append(REPORT.validate_json(note.model_dump_json(exclude_defaults=True)))

    def requeue(self, sender: Sender, provider: Provider) -> None:
        """The sender's connection is gone: others get what it has not acknowledged."""
        for run in sender.runs:
            provider.doubtful |= run.untold
            if not run.requeued:
                self.queue(run.job, redelivered=True)
            run.requeued = True

    def queue(self, job: Job, *, redelivered: bool = False) -> None:
        """Sorted, as PostgreSQL names the jobs of a claim in any order, and a history must be repeatable."""
        self.jobs.append(Waiting(job, redelivered))
        self.jobs.sort(key=lambda waiting: waiting.order)

    def live(self, now: datetime) -> Iterator[tuple[int, Job]]:
        """The messages that wait for a sender, or are with one that has not spoken of them; with their jobs."""
        for waiting in self.jobs:
            if not waiting.redelivered and now < waiting.job.lease_until:
                yield from ((message.id, waiting.job) for message in waiting.job.messages)
        for run in (run for sender in self.senders for run in sender.runs):
            if run.is_live(now):
                yield from ((message_id, run.job) for message_id in run.untold - run.told)

    def _publish_job(self, job: Job) -> None:
        fate = self.fates[job.job_id % len(self.fates)]
        self.handed_out.append(job)
        if fate is Fate.REFUSED:
            raise NotPublished("no")
        if fate is not Fate.LOST:
            self.queue(job)
        if fate is not Fate.ARRIVES:
            raise PublishUnknown("who knows")
