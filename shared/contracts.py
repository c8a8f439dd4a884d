"""The contracts on the wire: what travels through RabbitMQ between the services.

Every model is frozen and ignores fields that it does not know, so that a new optional field may be added
at any time; anything else is a new `version`. Instants are aware datetimes in UTC, or integers in
milliseconds since the Unix epoch where there is one per message (`*_ms`).

Numbers and strings are bounded by what PostgreSQL can hold, so that whatever was parsed can be recorded; what
the services make themselves lies far within these bounds.
"""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, model_validator

INT16_MAX = 2**15 - 1
INT32_MAX = 2**31 - 1
INT64_MAX = 2**63 - 1

Id = Annotated[int, Field(ge=0, le=INT64_MAX)]
Serial = Annotated[int, Field(ge=0, le=INT32_MAX)]  # of releases and revisions
Number = Annotated[int, Field(ge=1, le=10**15 - 1)]  # a phone number: E.164 has 15 digits at most
InstantMs = Annotated[int, Field(ge=0, le=10**14)]  # up to the year 5138
DurationMs = Annotated[int, Field(ge=-INT32_MAX, le=INT32_MAX)]  # below 0 if the clock was set back meanwhile
Seconds = Annotated[float, Field(ge=0, le=INT32_MAX)]
# PostgreSQL's strings hold any character but this one.
WITHOUT_NUL = r"^[^\x00]*$"


class Outcome(StrEnum):
    """What a sender can say of one message. What it *means* is decided in `services.planner.outcomes`."""

    ACCEPTED = "accepted"  # the provider answered 200 with a valid body
    REJECTED = "rejected"  # a definite refusal of this message
    DEFERRED = "deferred"  # definitely not accepted now; another time it may be
    UNCERTAIN = "uncertain"  # the request went out and no valid answer came
    EXPIRED = "expired"  # `send_before` passed before the POST
    RETURNED = "returned"  # not tried


class ReturnReason(StrEnum):
    """Why a message comes back untried."""

    SHUTDOWN = "shutdown"  # the sender is stopping
    STOPPED = "stopped"  # its mailing was paused, canceled or deleted
    LEASE_OVER = "lease_over"  # the job was held past its lease
    CIRCUIT_OPEN = "circuit_open"  # the provider is out
    LATE = "late"  # its slot under a rate limit was missed
    REDELIVERED = "redelivered"  # the broker handed the job out before: somebody may have begun it


class _Contract(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class EventKind(StrEnum):
    MAILING_CREATED = "mailing.created"
    MAILING_CHANGED = "mailing.changed"
    MAILING_STOPPED = "mailing.stopped"
    MAILING_RESUMED = "mailing.resumed"
    MAILING_DELETED = "mailing.deleted"


class Event(_Contract):
    """Something happened to a mailing. A hint to look at the database, where the truth is: losing one costs
    a second, repeating one costs a query."""

    version: Literal[1] = 1
    kind: EventKind
    mailing_id: Id
    request_id: str | None = None


class JobMessage(NamedTuple):
    """One message of a job: its id, which is the provider's msgId too, and the phone number."""

    id: Id
    number: Number


class Job(_Contract):
    """A chunk of messages of one mailing that share a deadline: what a sender is asked to deliver."""

    version: Literal[1] = 1
    job_id: Id
    release: Serial  # counts how often this job was handed out; a report of an older release is history
    mailing_id: Id
    revision: Serial  # of the mailing when the job was released; see `Stops`
    text: str
    send_before: AwareDatetime  # no POST begins at or after this
    lease_until: AwareDatetime  # whoever holds the job past this sends nothing more of it
    # Never none: a job is acknowledged with the result of its last message.
    messages: Annotated[tuple[JobMessage, ...], Field(min_length=1)]
    # Under a rate limit, a slot for each message: the instant of its POST, which may not begin before it, nor more
    # than `slot_lasts_ms` after it. Whoever misses a slot gives the message back.
    slots_ms: tuple[InstantMs, ...] | None = None
    slot_lasts_ms: DurationMs = 0
    # The messages' clients, in the same order, for the logs; 0 for none.
    client_ids: tuple[Id, ...] | None = None
    request_id: str | None = None

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
    was released. So a stop needs no counterpart, may arrive late, twice or out of order, and can never hold
    back what was released after the mailing went on.
    """

    version: Literal[1] = 1
    revisions: dict[Id, Serial]


class Acceptance(NamedTuple):
    """A plain acceptance at the first POST: nearly all results, so as small as can be."""

    message_id: Id
    at_ms: InstantMs  # when the POST began
    duration_ms: DurationMs


class Attempt(NamedTuple):
    """One POST to the provider and what came of it."""

    at_ms: InstantMs
    duration_ms: DurationMs
    outcome: Outcome
    provider_status: Annotated[int, Field(ge=0, le=INT16_MAX)] | None
    provider_text: Annotated[str, Field(pattern=WITHOUT_NUL)] | None  # at most 200 characters


class Result(_Contract):
    """Any other result of one message: its outcome, and the attempts of this delivery, oldest first."""

    message_id: Id
    outcome: Outcome
    attempts: tuple[Attempt, ...] = ()
    retry_after: Seconds | None = None  # as the provider asked
    reason: ReturnReason | None = None  # of a `returned`


class JobReport(_Contract):
    """Results of some or all messages of one job, in one release of it."""

    job_id: Id
    release: Serial
    mailing_id: Id
    request_id: str | None = None
    accepted: tuple[Acceptance, ...] = ()
    results: tuple[Result, ...] = ()


class Report(_Contract):
    """What one sender has to tell since its last report."""

    version: Literal[1] = 1
    sender: Annotated[str, Field(max_length=200, pattern=WITHOUT_NUL)]
    jobs: tuple[JobReport, ...]
    # From a planner, to whoever records: all reports before this one are recorded now, so jobs whose lease ran
    # out before this instant are certainly not heard of any more.
    reclaim_before: AwareDatetime | None = None


EVENT = TypeAdapter(Event)
JOB = TypeAdapter(Job)
STOPS = TypeAdapter(Stops)
REPORT = TypeAdapter(Report)


def utc_now() -> datetime:
    """The clock of every decision, aware, in UTC. Hosts are expected to keep theirs with NTP."""
    return datetime.now(UTC)


def from_ms(milliseconds: int) -> datetime:
    """The aware UTC instant of milliseconds since the epoch."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
