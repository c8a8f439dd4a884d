"""Every statement that writes the table `mails`: reports and notices of alerts, each to one person.

A mail is claimed with a lease, so that one of several notifiers sends it. If that one dies, another sends it again
when the lease is over, with the same Message-ID.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_INSERT_MAIL = text("""
    -- insert_mail --
    INSERT INTO mails (message_id, recipient, language, day, alert_id, phase, created_at, next_at)
    VALUES (:message_id, :recipient, :language, :day, :alert_id, :phase, :now, :now)
    ON CONFLICT (message_id) DO NOTHING
""")

_CLAIM_MAIL = text("""
    -- claim_mail --
    UPDATE mails SET lease_until = :lease_until, tries = tries + 1
    WHERE id = (
        SELECT id FROM mails
        WHERE sent_at IS NULL AND given_up_at IS NULL AND next_at <= :now
          AND (lease_until IS NULL OR lease_until <= :now)
        ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, message_id, recipient, language, day, alert_id, phase, tries, created_at
""")

_RECORD_SENT_MAIL = text("""
    -- record_sent_mail --
    UPDATE mails SET sent_at = :now, lease_until = NULL, error = NULL WHERE id = :mail_id
""")

_RECORD_FAILED_MAIL = text("""
    -- record_failed_mail --
    UPDATE mails
    SET lease_until = NULL, error = :error, next_at = coalesce(CAST(:next_at AS timestamptz), next_at),
        given_up_at = CASE WHEN CAST(:next_at AS timestamptz) IS NULL THEN CAST(:now AS timestamptz) END
    WHERE id = :mail_id AND sent_at IS NULL
""")

_DELETE_OLD_MAILS = text("""
    -- delete_old_mails --
    DELETE FROM mails WHERE id IN (
        SELECT id FROM mails WHERE created_at < :before ORDER BY id LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")


@dataclass(frozen=True, slots=True)
class NewMail:
    """Columns of a mail to send: the report of a `day`, or a notice of an alert in a phase."""

    message_id: str
    recipient: str
    language: str
    day: date | None = None
    alert_id: int | None = None
    phase: str | None = None


@dataclass(frozen=True, slots=True)
class ClaimedMail:
    """A mail that this process sends until its lease ends. `tries` includes this one."""

    id: int
    message_id: str
    recipient: str
    language: str
    day: date | None
    alert_id: int | None
    phase: str | None
    tries: int
    created_at: datetime


async def insert_mail(connection: AsyncConnection, new: NewMail, now: datetime) -> bool:
    """Create a mail that is due at once; False if there is one with its Message-ID."""
    parameters = {
        "message_id": new.message_id,
        "recipient": new.recipient,
        "language": new.language,
        "day": new.day,
        "alert_id": new.alert_id,
        "phase": new.phase,
        "now": now,
    }
    return (await connection.execute(_INSERT_MAIL, parameters)).rowcount == 1


async def claim_mail(connection: AsyncConnection, now: datetime, lease: timedelta) -> ClaimedMail | None:
    """Claim the mail that has been due for the longest time; None if none is due."""
    row = (await connection.execute(_CLAIM_MAIL, {"now": now, "lease_until": now + lease})).one_or_none()
    return None if row is None else ClaimedMail(**row._mapping)


async def record_sent_mail(connection: AsyncConnection, mail_id: int, now: datetime) -> None:
    """Note that the server has accepted the mail."""
    await connection.execute(_RECORD_SENT_MAIL, {"mail_id": mail_id, "now": now})


async def record_failed_mail(
    connection: AsyncConnection, mail_id: int, error: str, next_at: datetime | None, now: datetime
) -> None:
    """Note why the mail was not accepted, and when it is tried again; None for never."""
    parameters = {"mail_id": mail_id, "error": error, "next_at": next_at, "now": now}
    await connection.execute(_RECORD_FAILED_MAIL, parameters)


async def delete_old_mails(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Delete up to `limit` mails created before the instant; return how many there were."""
    return (await connection.execute(_DELETE_OLD_MAILS, {"before": before, "limit": limit})).rowcount
