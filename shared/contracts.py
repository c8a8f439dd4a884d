"""Contracts of the wire: the models that travel through RabbitMQ between the services.

Every model is frozen and ignores unknown fields. So a new optional field may be added at any time. Any other
change needs a new `version`. Instants are aware datetimes in UTC. Where there is one for each message, they
are integers in milliseconds since the Unix epoch (`*_ms`).

Numbers and strings are bounded by what PostgreSQL can hold, so that every parsed model can be recorded. The
values that the services create lie far within these bounds.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from shared.clock import CLOCK

INT16_MAX = 2**15 - 1
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

Id = Annotated[int, Field(ge=0, le=INT64_MAX)]
Serial = Annotated[int, Field(ge=0, le=INT32_MAX)]  # of releases and revisions
Number = Annotated[int, Field(ge=1, le=10**15 - 1)]  # a phone number: E.164 has 15 digits at most
InstantMs = Annotated[int, Field(ge=0, le=10**14)]  # up to the year 5138
DurationMs = Annotated[int, Field(ge=-INT32_MAX, le=INT32_MAX)]  # negative if the clock was set back meanwhile
Seconds = Annotated[float, Field(ge=0, le=INT32_MAX)]
WITHOUT_NUL = r"^[^\x00]*$"  # PostgreSQL's strings hold every character but NUL
# A W3C trace context, made by `shared.telemetry.tracing`. Without it, nothing is traced.
Traceparent = str | None


class Outcome(StrEnum):
    """Outcome of one message, as a sender reports it. `services.planner.outcomes` decides what it means."""

    ACCEPTED = "accepted"  # the provider answered 200 with a valid body
    REJECTED = "rejected"  # the provider refused this message for good
    DEFERRED = "deferred"  # certainly not accepted now; a later POST may be accepted
    UNCERTAIN = "uncertain"  # the request left, and no valid answer came
    EXPIRED = "expired"  # `send_before` passed before the POST
    RETURNED = "returned"  # not tried


class ReturnReason(StrEnum):
    """Reason why a sender returns a message without a POST."""

    SHUTDOWN = "shutdown"  # the sender is stopping, or has lost the connection that the job came over
    STOPPED = "stopped"  # its mailing was paused, canceled or deleted
    LEASE_OVER = "lease_over"  # the job was held past its lease
    CIRCUIT_OPEN = "circuit_open"  # the provider is out
    LATE = "late"  # its slot under a rate limit was missed
    REDELIVERED = "redelivered"  # the broker delivered the job before, so another sender may have begun it


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EventKind(StrEnum):
    MAILING_CREATED = "mailing.created"
    MAILING_CHANGED = "mailing.changed"
    MAILING_STOPPED = "mailing.stopped"
    MAILING_RESUMED = "mailing.resumed"
    MAILING_DELETED = "mailing.deleted"


class Event(_Contract):
    """A change of a mailing.

    It is a hint to look at the database. A lost event delays the planner by a second, and a repeated one
    costs a query.
    """

    version: Literal[1] = 1
    kind: EventKind
    mailing_id: Id
    request_id: str | None = None
    traceparent: Traceparent = None  # of the span that published it


class JobMessage(NamedTuple):
    """One message of a job. Its id is the provider's msgId, too."""

    id: Id
    number: Number


class Job(_Contract):
    """A chunk of messages of one mailing that share a deadline, for one sender to deliver."""

    version: Literal[1] = 1
    job_id: Id
    release: Serial  # number of times that this job was released; a report of an older release is out of date
    mailing_id: Id
    revision: Serial  # of the mailing when the job was released; see `Stops`
    text: str
    send_before: AwareDatetime  # no POST begins at or after this instant
    lease_until: AwareDatetime  # a sender that holds the job past this instant sends nothing more of it
    # Never empty, because a job is acknowledged with the result of its last message.
    messages: Annotated[tuple[JobMessage, ...], Field(min_length=1)]
    # Of the ledger that released the job. A ledger that was restored from a backup has another one.
    epoch: Id | None = None
    # Under a rate limit, a slot for each message. Its POST may begin at this instant, and at most
    # `slot_lasts_ms` later. A sender that misses the slot returns the message.
    slots_ms: tuple[InstantMs, ...] | None = None
    slot_lasts_ms: DurationMs = 0
    # The messages' clients, in the same order, for the logs; 0 for none.
    client_ids: tuple[Id, ...] | None = None
    # True if the provider must not be asked twice: then no POST begins before the broker has confirmed a report
    # with a `begun_to` that covers the message.
    must_note: bool = False
    request_id: str | None = None
    traceparent: Traceparent = None  # of the span that released it

    @model_validator(mode="after")
    def _has_one_for_each_message(self) -> "Job":
        if self.slots_ms is not None and len(self.slots_ms) != len(self.messages):
            raise ValueError(f"{len(self.messages)} messages and {len(self.slots_ms)} slots")
        if self.client_ids is not None and len(self.client_ids) != len(self.messages):
            raise ValueError(f"{len(self.messages)} messages and {len(self.client_ids)} clients")
        return self


class Stops(_Contract):
    """`{mailing_id: revision}`: a job of that mailing with a lower revision must not be sent.

    Every pause, cancel and delete raises the mailing's revision, and a job carries the revision at which it
    was released. So a stop needs no counterpart when the mailing resumes. It may arrive late, twice or out of
    order, and never holds back a job that was released after the mailing resumed.
    """

    version: Literal[1] = 1
    revisions: dict[Id, Serial]
    epoch: Id = 0  # of the ledger; a job of an earlier one must not be sent either
    at_ms: InstantMs | None = None  # the time of the planner that says so; None if an API does


class Confirmation(_Contract):
    """Answer of a sender to stops that came with a `reply_to`: it begins no POST of these mailings any more."""

    version: Literal[1] = 1
    sender: Annotated[str, Field(max_length=200, pattern=WITHOUT_NUL)]


class Acceptance(NamedTuple):
    """Acceptance of a message at its first POST. Nearly all results are of this kind, so it is small."""

    message_id: Id
    at_ms: InstantMs  # when the POST began
    duration_ms: DurationMs


class Attempt(NamedTuple):
    """One POST to the provider and its outcome."""

    at_ms: InstantMs
    duration_ms: DurationMs
    outcome: Outcome
    provider_status: Annotated[int, Field(ge=0, le=INT16_MAX)] | None
    provider_text: Annotated[str, Field(pattern=WITHOUT_NUL)] | None  # at most 200 characters


class Result(_Contract):
    """Any other result of one message, with its attempts in this job, oldest first."""

    message_id: Id
    outcome: Outcome
    attempts: tuple[Attempt, ...] = ()
    retry_after: Seconds | None = None  # as the provider requested
    reason: ReturnReason | None = None  # of a `returned`


class JobReport(_Contract):
    """Results of some or all messages of one job, in one release of it."""

    job_id: Id
    release: Serial
    mailing_id: Id
    request_id: str | None = None
    traceparent: Traceparent = None  # of the span of the job in the sender
    accepted: tuple[Acceptance, ...] = ()
    results: tuple[Result, ...] = ()
    epoch: Id | None = None  # the job's
    # The POSTs of the job's messages up to this id may have begun. Of the others, none has.
    begun_to: Id | None = None


class Report(_Contract):
    """All results of one sender since its last report."""

    version: Literal[1] = 1
    sender: Annotated[str, Field(max_length=200, pattern=WITHOUT_NUL)]
    jobs: tuple[JobReport, ...]

    def count_outcomes(self) -> int:
        """Return the number of messages that the report has an outcome for."""
        return sum(len(part.accepted) + len(part.results) for part in self.jobs)


class Reclaim(_Contract):
    """Request to reclaim the jobs whose lease ran out before the instant `before`.

    A planner enqueues it behind all earlier reports, in the same queue. When it is read, those are recorded.
    So no report of such a job is on its way any more.
    """

    version: Literal[1] = 1
    before: AwareDatetime


# An AMQP header distinguishes a reclaim from the reports in its queue. It survives a stay among the dead
# letters.
RECLAIM_HEADERS: Final = {"kind": "reclaim"}

EVENT = TypeAdapter(Event)
JOB = TypeAdapter(Job)
STOPS = TypeAdapter(Stops)
CONFIRMATION = TypeAdapter(Confirmation)
REPORT = TypeAdapter(Report)
RECLAIM = TypeAdapter(Reclaim)


def utc_now() -> datetime:
    """Return the time of the clock that every decision uses."""
    return datetime.fromtimestamp(CLOCK.time(), UTC)
