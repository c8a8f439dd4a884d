"""The schema: what is due, what was promised, what became of it.

Rules that hold over all modules that write here:
- Locks are taken in the order mailing, jobs, messages, counters, and rows of one table by ascending id.
- A message is in exactly one job that is not done, or it is settled; `jobs.open` counts the unsettled ones.
- Counters change in the transaction that changes the messages; the database itself checks that they add up.
- `messages` has no foreign keys: they would cost a third of the expansion's speed, rows are only made by the
  expansion, which holds its mailing's row, and a settled message outlives its client.
"""

from datetime import datetime, time
from enum import StrEnum

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    Double,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Text,
    Time,
    func,
    text,
)
from sqlalchemy import Table as TableDefinition
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from shared.statuses import JobState, MailingState, MessageStatus, Reason
from shared.stop_list import MailingKind, StopScope

COUNTERS_ADD_UP = f"{' + '.join(MessageStatus)} = total"
COUNTERS_NOT_NEGATIVE = f"least({', '.join(MessageStatus)}) >= 0"


def enum_column(kind: type[StrEnum], name: str) -> Enum:
    """Return the column type of an enumeration, stored by its values."""
    return Enum(kind, name=name, values_callable=lambda members: [member.value for member in members])


class Table(DeclarativeBase):
    type_annotation_map = {datetime: DateTime(timezone=True), str: Text, int: BigInteger, dict: JSONB}  # noqa: RUF012


class Client(Table):
    """Somebody who can be written to."""

    __tablename__ = "clients"
    __table_args__ = (
        CheckConstraint("number BETWEEN 70000000000 AND 79999999999", name="number_form"),
        CheckConstraint("char_length(tag) BETWEEN 1 AND 100", name="tag_length"),
        Index("clients_tag", "tag", "id"),
        Index("clients_code", "code", "id"),
        Index("clients_zone", "zone", "id"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    # The operator's code is always derived: 79057003050 → 905.
    code: Mapped[int] = mapped_column(
        SmallInteger, Computed("mod(number / 10000000, 1000)::smallint", persisted=True)
    )
    tag: Mapped[str]
    zone: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Mailing(Table):
    """Whom to write to, what, from when, until when."""

    __tablename__ = "mailings"
    __table_args__ = (
        CheckConstraint("expired_at > starts_at", name="end_after_start"),
        CheckConstraint("char_length(text) <= 500", name="text_length"),
        CheckConstraint(
            "(window_from IS NULL) = (window_until IS NULL) AND window_from <> window_until", name="window_form"
        ),
        CheckConstraint("rate > 0", name="rate_positive"),
        CheckConstraint("char_length(name) BETWEEN 1 AND 100", name="name_length"),
        Index("mailings_scheduled", "starts_at", postgresql_where=text("state = 'scheduled'")),
        Index("mailings_pending_stops", "id", postgresql_where=text("stop_pending_since IS NOT NULL")),
        Index("mailings_stopped", "stopped_at", postgresql_where=text("stopped_at IS NOT NULL")),
        # The few that the planner's loops look at, whatever the number of finished ones.
        Index("mailings_number", "number", postgresql_where=text("number IS NOT NULL")),
        Index("mailings_open", "id", postgresql_where=text("state <> 'scheduled' AND finished_at IS NULL")),
        # The pages of mailings: those sent on their own are many and are not among them.
        Index("mailings_listed", "id", postgresql_where=text("NOT express AND state <> 'deleted'")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    starts_at: Mapped[datetime]
    expired_at: Mapped[datetime]
    text: Mapped[str]
    # {"code": [...], "tag": [...], "zone": [...]}: any of the values within a field, all of the fields given.
    filter: Mapped[dict[str, list[int] | list[str]]] = mapped_column(JSONB)
    # Local times of day: a client is written to only while its own clock is inside. See shared.windows.
    window_from: Mapped[time | None] = mapped_column(Time)
    window_until: Mapped[time | None] = mapped_column(Time)
    rate: Mapped[float | None] = mapped_column(Double)  # messages per second, over all senders
    name: Mapped[str | None]
    kind: Mapped[MailingKind] = mapped_column(
        enum_column(MailingKind, "mailing_kind"), server_default=MailingKind.MARKETING
    )
    # Made for one message that was sent on its own; not shown among the mailings.
    express: Mapped[bool] = mapped_column(Boolean, server_default="false")
    number: Mapped[int | None]  # of that message, to somebody who is no client
    test_of: Mapped[int | None]  # the mailing whose text that message shows, as a test
    state: Mapped[MailingState] = mapped_column(
        enum_column(MailingState, "mailing_state"), server_default=MailingState.SCHEDULED
    )
    paused_at: Mapped[datetime | None]
    # Raised by every pause, cancel and delete; see shared.contracts.Stops.
    revision: Mapped[int] = mapped_column(Integer, server_default="0")
    stopped_at: Mapped[datetime | None]
    stop_pending_since: Mapped[datetime | None]  # until every living sender has confirmed the stop
    # The expansion: the audience are the clients up to `audience_until`; up to `expanded_to` it is done.
    started_at: Mapped[datetime | None]
    audience_until: Mapped[int | None]
    expanded_to: Mapped[int] = mapped_column(server_default="0")
    expanded_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    # What is owed again: messages that ended in one of these statuses by then; up to this client it is done.
    retry_statuses: Mapped[list[str] | None] = mapped_column(ARRAY(Text))
    retry_ended_by: Mapped[datetime | None]
    retried_to: Mapped[int] = mapped_column(server_default="0")
    request_id: Mapped[str | None]
    traceparent: Mapped[str | None]  # W3C trace context of the request that created it; NULL if it is not traced


class Stop(Table):
    """A number that must not be written to. See shared.stop_list."""

    __tablename__ = "stops"
    __table_args__ = (CheckConstraint("number BETWEEN 70000000000 AND 79999999999", name="number_form"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)
    scope: Mapped[StopScope] = mapped_column(
        enum_column(StopScope, "stop_scope"), server_default=StopScope.MARKETING
    )
    since: Mapped[datetime] = mapped_column(server_default=func.now())
    source: Mapped[str] = mapped_column(server_default="")
    note: Mapped[str] = mapped_column(server_default="")


class Counters(Table):
    """Number of messages of a mailing by status, correct at every instant.

    The table has a column for each `MessageStatus`. The database checks that they add up to `total`.
    """

    __table__ = TableDefinition(
        "counters",
        Table.metadata,
        Column(
            "mailing_id",
            BigInteger,
            ForeignKey("mailings.id", ondelete="CASCADE"),
            primary_key=True,
            autoincrement=False,
        ),
        *(Column(name, BigInteger, nullable=False, server_default="0") for name in ("total", *MessageStatus)),
        CheckConstraint(COUNTERS_ADD_UP, name="add_up"),
        CheckConstraint(COUNTERS_NOT_NEGATIVE, name="not_negative"),
        # Rewritten with every batch of reports: room on the page keeps the updates in place (HOT).
        postgresql_with={"fillfactor": 20},
    )


class Job(Table):
    """A chunk of messages of one mailing, on its way from planned to done."""

    __tablename__ = "jobs"
    __table_args__ = (
        CheckConstraint("open BETWEEN 0 AND size", name="open_within_size"),
        Index("jobs_planned", "mailing_id", "due_at", "id", postgresql_where=text("state = 'planned'")),
        # Those that close first go first.
        Index(
            "jobs_by_deadline",
            "mailing_id",
            "send_before",
            "due_at",
            "id",
            postgresql_where=text("state = 'planned'"),
        ),
        Index(
            "jobs_to_replan",
            "send_before",
            postgresql_where=text("state = 'planned' AND send_before IS NOT NULL"),
        ),
        Index("jobs_released", "lease_until", postgresql_where=text("state = 'released'")),
        Index("jobs_done", "done_at", postgresql_where=text("state = 'done'")),
        Index("jobs_mailing", "mailing_id"),  # to remove those of a deleted mailing
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    mailing_id: Mapped[int]
    due_at: Mapped[datetime]
    # Of a mailing with a local window: the zone of all its clients, and the end of the opening that it is planned
    # for; one whose opening is over is planned anew. The mailing's `expired_at` bounds it in any case.
    zone: Mapped[str | None]
    send_before: Mapped[datetime | None]
    size: Mapped[int] = mapped_column(Integer)
    open: Mapped[int] = mapped_column(Integer)
    state: Mapped[JobState] = mapped_column(enum_column(JobState, "job_state"), server_default=JobState.PLANNED)
    release: Mapped[int] = mapped_column(Integer, server_default="0")
    lease_until: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    sender: Mapped[str | None]  # who reported on it last
    # Only for a provider that is not idempotent: messages up to the id `begun_to` may have been POSTed, as a
    # sender noted. `delivered` is true if RabbitMQ has taken the job and not delivered it again.
    begun_to: Mapped[int | None]
    delivered: Mapped[bool | None]
    returns: Mapped[int] = mapped_column(Integer, server_default="0")  # in a row without a POST


class Message(Table):
    """The SMS to one client. Written twice in its life: when it is created and when it is settled.

    It counts as created at its mailing's start, when the audience is fixed: `mailings.started_at`.
    """

    __tablename__ = "messages"
    __table_args__ = (
        # Behind "one message per client", and the order of a mailing's pages.
        Index("messages_mailing_client", "mailing_id", "client_id", unique=True),
        Index("messages_job", "job_id"),
        Index("messages_client", "client_id"),
        # The few that were not sent, for pages of these.
        Index("messages_unsent", "mailing_id", "reason", "client_id", postgresql_where=text("reason <> 'none'")),
        # The times of ranges of pages, to find the newest answers.
        Index(
            "messages_settled_at",
            "settled_at",
            postgresql_using="brin",
            postgresql_with={"pages_per_range": 16, "autosummarize": "on"},
        ),
        # Settling changes no column of another index, and pages keep some room, so it stays on the page (HOT). The
        # messages of a page are dealt out to many jobs, which end one after the other, and this helps. Old row
        # versions are left on a mailing's last few pages. They are cheap to vacuum, as no index refers to them.
        {
            "postgresql_with": {
                "fillfactor": 85,
                "autovacuum_vacuum_threshold": 10_000,
                "autovacuum_vacuum_scale_factor": 0.01,
            }
        },
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    mailing_id: Mapped[int]
    client_id: Mapped[int]
    job_id: Mapped[int]
    settled_at: Mapped[datetime | None]
    status: Mapped[MessageStatus] = mapped_column(
        enum_column(MessageStatus, "message_status"), server_default=MessageStatus.NEW
    )
    # A word for nothing and not NULL: a row without NULLs is eight bytes shorter.
    reason: Mapped[str] = mapped_column(Enum("none", *Reason, name="message_reason"), server_default="none")
    duration_ms: Mapped[int | None] = mapped_column(Integer)  # of the POST that settled it
    tries: Mapped[int] = mapped_column(SmallInteger, server_default="0")  # deliveries that had to be repeated


class Attempt(Table):
    """A POST, or the reason for none: a row for every outcome but a plain acceptance at the first try, whose
    facts stand on the message and its job. By its key, a repeated report adds nothing."""

    __tablename__ = "attempts"
    __table_args__ = (Index("attempts_at", "at", "message_id"),)

    message_id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(primary_key=True)
    sender: Mapped[str]
    outcome: Mapped[str]
    provider_status: Mapped[int | None] = mapped_column(SmallInteger)
    provider_text: Mapped[str | None]  # at most 200 characters
    duration_ms: Mapped[int] = mapped_column(Integer)


class Progress(Table):
    """Number of messages of a mailing that got or left a final status within one step of time.

    `mailing_id` 0 stands for all single messages. See shared.ledger.progress.
    """

    __tablename__ = "progress"
    __table_args__ = (
        Index("progress_at", "at"),
        # The newest rows are rewritten with every batch of reports: room keeps the updates on the page (HOT).
        {"postgresql_with": {"fillfactor": 70}},
    )

    mailing_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(primary_key=True)  # the beginning of the step
    status: Mapped[MessageStatus] = mapped_column(enum_column(MessageStatus, "message_status"), primary_key=True)
    reason: Mapped[str] = mapped_column(
        Enum("none", *Reason, name="message_reason"), primary_key=True, server_default="none"
    )
    messages: Mapped[int]
    retried: Mapped[int] = mapped_column(server_default="0")  # left the status, because somebody asked for a retry


class Pace(Table):
    """Up to when the slots of a rate limit are given away, and which before that were left over; in seconds since
    the epoch. `mailing_id` 0 is the provider's own limit.

    Apart from `mailings`, whose rows others lock, as this changes several times a second.
    """

    __tablename__ = "paces"
    __table_args__ = ({"postgresql_with": {"fillfactor": 20}},)

    mailing_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    taken_until: Mapped[float] = mapped_column(Double)
    left_over: Mapped[list[float] | None] = mapped_column(ARRAY(Double))


class Epoch(Table):
    """One life of the ledger. Each restore from a backup begins another one; see shared.ledger.epochs."""

    __tablename__ = "epochs"

    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    began_at: Mapped[datetime]
    reason: Mapped[str]


class IdempotencyKey(Table):
    """A request that created something, and the answer it got, for whoever sends it again within KEY_LIFETIME."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        CheckConstraint("char_length(key) BETWEEN 1 AND 255", name="key_length"),
        Index("idempotency_keys_age", "created_at"),
    )

    key: Mapped[str] = mapped_column(primary_key=True)
    request: Mapped[bytes] = mapped_column(LargeBinary)  # a digest of the path and the body
    answer: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class OutboxEntry(Table):
    """A message that RabbitMQ is owed, written in the transaction of the change that it tells of."""

    __tablename__ = "outbox"
    __table_args__ = (Index("outbox_stops", "id", postgresql_where=text("exchange = 'mailing.control'")),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    exchange: Mapped[str]
    routing_key: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
