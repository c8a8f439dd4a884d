"""Every statement that writes the table `alerts`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Of several notifiers one judges the conditions at a time. The lock ends with the transaction.
_LOCK_ALERTS = text("SELECT pg_try_advisory_xact_lock(hashtext('mailing.alerts'))")

_OPEN_ALERTS = text("""
    SELECT id, kind, subject, severity, facts, began_at, notified_at, ended_at FROM alerts
    WHERE ended_at IS NULL ORDER BY id
""")

_BEGIN_ALERT = text("""
    -- begin_alert --
    INSERT INTO alerts (kind, subject, severity, facts, began_at, notified_at)
    VALUES (:kind, :subject, :severity, CAST(:facts AS jsonb), :now, :now)
    ON CONFLICT (kind, subject) WHERE ended_at IS NULL DO NOTHING
    RETURNING id
""")

_CONTINUE_ALERT = text("""
    -- continue_alert --
    UPDATE alerts SET facts = CAST(:facts AS jsonb),
        notified_at = CASE WHEN :is_notified THEN CAST(:now AS timestamptz) ELSE notified_at END
    WHERE id = :alert_id
""")

_END_ALERT = text("""
    -- end_alert --
    UPDATE alerts SET ended_at = :now WHERE id = :alert_id AND ended_at IS NULL
""")

_DELETE_OLD_ALERTS = text("""
    -- delete_old_alerts --
    DELETE FROM alerts WHERE id IN (
        SELECT id FROM alerts WHERE ended_at < :before ORDER BY ended_at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")

Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AlertRow:
    """An alert. `facts` are the numbers that its text shows."""

    id: int
    kind: str
    subject: str
    severity: str
    facts: dict[str, object]
    began_at: datetime
    notified_at: datetime
    ended_at: datetime | None


async def lock_alerts(connection: AsyncConnection) -> bool:
    """Return True if no other transaction judges the alerts now; none can until this one ends."""
    locked: bool = (await connection.execute(_LOCK_ALERTS)).scalar_one()
    return locked


async def find_open_alerts(connection: AsyncConnection) -> list[AlertRow]:
    """Return the alerts that have not ended."""
    return [AlertRow(**row._mapping) for row in await connection.execute(_OPEN_ALERTS)]


async def begin_alert(
    connection: AsyncConnection, kind: str, subject: str, severity: str, facts: Facts, now: datetime
) -> int | None:
    """Begin an alert and return its id; None if there is one for this subject."""
    parameters = {
        "kind": kind,
        "subject": subject,
        "severity": severity,
        "facts": orjson.dumps(facts).decode(),
        "now": now,
    }
    alert_id: int | None = (await connection.execute(_BEGIN_ALERT, parameters)).scalar_one_or_none()
    return alert_id


async def continue_alert(
    connection: AsyncConnection, alert_id: int, facts: Facts, now: datetime, *, is_notified: bool
) -> None:
    """Store the present facts of an alert, and that people were notified again."""
    parameters = {
        "alert_id": alert_id,
        "facts": orjson.dumps(facts).decode(),
        "now": now,
        "is_notified": is_notified,
    }
    await connection.execute(_CONTINUE_ALERT, parameters)


async def end_alert(connection: AsyncConnection, alert_id: int, now: datetime) -> None:
    """End an alert."""
    await connection.execute(_END_ALERT, {"alert_id": alert_id, "now": now})


async def delete_old_alerts(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Delete up to `limit` alerts that ended before the instant; return how many there were."""
    return (await connection.execute(_DELETE_OLD_ALERTS, {"before": before, "limit": limit})).rowcount
