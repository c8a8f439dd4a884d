"""Tables of the notifier: alerts, mails to people, and webhooks with their deliveries."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Date,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Uuid,
    func,
    text,
)
from sqlalchemy import Text as TextType
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.ledger.tables import Table

MAIL_IS_OPEN = "sent_at IS NULL AND given_up_at IS NULL"


class Alert(Table):
    """A condition that somebody should look at, from its beginning to its end."""

    __tablename__ = "alerts"
    __table_args__ = (
        Index("alerts_open", "kind", "subject", unique=True, postgresql_where=text("ended_at IS NULL")),
        Index("alerts_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    kind: Mapped[str]
    subject: Mapped[str]  # the mailing's id, the queue's name, or nothing
    severity: Mapped[str]
    facts: Mapped[dict[str, object]] = mapped_column(JSONB)  # numbers for its text
    began_at: Mapped[datetime]
    notified_at: Mapped[datetime]  # when people and programs were last notified of it
    ended_at: Mapped[datetime | None]


class Mail(Table):
    """An e-mail to one person: a report of a day, or a notice of an alert. It is rendered when it is sent."""

    __tablename__ = "mails"
    __table_args__ = (
        Index("mails_message_id", "message_id", unique=True),
        Index("mails_reports", "recipient", "day", postgresql_where=text("day IS NOT NULL")),
        Index("mails_open", "next_at", postgresql_where=text(MAIL_IS_OPEN)),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    message_id: Mapped[str]  # of the header, without its brackets; the same at every try
    recipient: Mapped[str]
    language: Mapped[str]
    day: Mapped[date | None] = mapped_column(Date)  # of a report
    alert_id: Mapped[int | None]  # of a notice
    phase: Mapped[str | None]  # of the alert: began, continues, ended
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    next_at: Mapped[datetime]
    lease_until: Mapped[datetime | None]  # until then one notifier sends it
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    sent_at: Mapped[datetime | None]
    given_up_at: Mapped[datetime | None]
    error: Mapped[str | None]  # of the last try


class Webhook(Table):
    """A program's address that events are POSTed to."""

    __tablename__ = "webhooks"
    __table_args__ = (CheckConstraint("char_length(url) BETWEEN 1 AND 2000", name="url_length"),)

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    name: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(TextType))
    messages: Mapped[str] = mapped_column(server_default="singles")  # whose message.settled: singles or all
    secret: Mapped[bytes] = mapped_column(LargeBinary)
    previous_secret: Mapped[bytes | None] = mapped_column(LargeBinary)  # signs, too, until `previous_until`
    previous_until: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    failing_since: Mapped[datetime | None]  # the first failure after the last success
    disabled_at: Mapped[datetime | None]
    disabled_because: Mapped[str | None]


class Delivery(Table):
    """An event for one webhook. It is open until the receiver has answered 2xx.

    The open deliveries of one webhook and mailing are made one after the other. The lease of the first one covers
    all of them.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("deliveries_open", "webhook_id", "mailing_id", "id", postgresql_where=text("delivered_at IS NULL")),
        Index("deliveries_webhook", "webhook_id", "id"),
        Index("deliveries_age", "created_at"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    event_id: Mapped[UUID] = mapped_column(Uuid)
    kind: Mapped[str]
    mailing_id: Mapped[int]  # 0: of no mailing, or of single messages
    body: Mapped[str]  # the JSON text that is signed and sent
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    next_at: Mapped[datetime] = mapped_column(server_default=func.now())
    lease_until: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(Integer, server_default="0")
    tried_at: Mapped[datetime | None]
    duration_ms: Mapped[int | None] = mapped_column(Integer)
    status: Mapped[int | None] = mapped_column(SmallInteger)  # HTTP status of the last answer
    error: Mapped[str | None]
    delivered_at: Mapped[datetime | None]
