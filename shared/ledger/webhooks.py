"""Every statement that writes the table `webhooks`."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

WEBHOOK_COLUMNS = "id, name, url, events, messages, created_at, failing_since, disabled_at, disabled_because"

_CREATE_WEBHOOK = text(f"""
    -- create_webhook --
    INSERT INTO webhooks (name, url, events, messages, secret)
    VALUES (:name, :url, CAST(:events AS text[]), :messages, :secret)
    RETURNING {WEBHOOK_COLUMNS}
""")  # noqa: S608 - the names are ours

_LOCK_WEBHOOK = text(f"""
    -- lock_webhook --
    SELECT {WEBHOOK_COLUMNS} FROM webhooks WHERE id = :webhook_id FOR UPDATE
""")  # noqa: S608 - the names are ours

_CHANGE_WEBHOOK = text(f"""
    -- change_webhook --
    UPDATE webhooks SET name = :name, url = :url, events = CAST(:events AS text[]), messages = :messages,
        disabled_at = CASE WHEN :is_enabled THEN NULL ELSE coalesce(disabled_at, :now) END,
        disabled_because = CASE WHEN :is_enabled THEN NULL ELSE disabled_because END,
        failing_since = CASE WHEN :is_enabled AND disabled_at IS NOT NULL THEN NULL ELSE failing_since END
    WHERE id = :webhook_id
    RETURNING {WEBHOOK_COLUMNS}
""")  # noqa: S608 - the names are ours

_ROTATE_SECRET = text("""
    -- rotate_secret_of_webhook --
    UPDATE webhooks SET previous_secret = secret, previous_until = :previous_until, secret = :secret
    WHERE id = :webhook_id
""")

_DELETE_WEBHOOK = text("""
    -- delete_webhook --
    DELETE FROM webhooks WHERE id = :webhook_id
""")

_RECORD_SUCCESS = text("""
    -- record_webhook_success --
    UPDATE webhooks SET failing_since = NULL WHERE id = :webhook_id AND failing_since IS NOT NULL
""")

_RECORD_FAILURE = text("""
    -- record_webhook_failure --
    UPDATE webhooks SET failing_since = coalesce(failing_since, :now),
        disabled_at = CASE WHEN failing_since <= :off_if_failing_since OR :is_gone THEN :now END,
        disabled_because = CASE WHEN failing_since <= :off_if_failing_since OR :is_gone THEN :error END
    WHERE id = :webhook_id AND disabled_at IS NULL
    RETURNING disabled_at
""")


@dataclass(frozen=True, slots=True)
class WebhookColumns:
    """Columns of a webhook that its admin decides."""

    name: str
    url: str
    events: Sequence[str]
    messages: str


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """A webhook without its secrets."""

    id: int
    name: str
    url: str
    events: list[str]
    messages: str
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_because: str | None


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed delivery. The webhook is switched off if it `is_gone`, or has failed since before the instant."""

    error: str
    off_if_failing_since: datetime
    is_gone: bool = False


async def create_webhook(connection: AsyncConnection, columns: WebhookColumns, secret: bytes) -> WebhookRow:
    """Create a webhook."""
    row = (await connection.execute(_CREATE_WEBHOOK, {**_parameters(columns), "secret": secret})).one()
    return WebhookRow(**row._mapping)


async def lock_webhook(connection: AsyncConnection, webhook_id: int) -> WebhookRow | None:
    """Lock a webhook and return it; None if there is none with this id."""
    row = (await connection.execute(_LOCK_WEBHOOK, {"webhook_id": webhook_id})).one_or_none()
    return None if row is None else WebhookRow(**row._mapping)


async def change_webhook(
    connection: AsyncConnection, webhook_id: int, columns: WebhookColumns, now: datetime, *, is_enabled: bool
) -> WebhookRow:
    """Store all columns of a locked webhook, and switch it on or off."""
    parameters = {**_parameters(columns), "webhook_id": webhook_id, "now": now, "is_enabled": is_enabled}
    return WebhookRow(**(await connection.execute(_CHANGE_WEBHOOK, parameters)).one()._mapping)


async def rotate_secret(
    connection: AsyncConnection, webhook_id: int, secret: bytes, previous_until: datetime
) -> None:
    """Sign by a new secret from now on, and by the previous one as well until the instant."""
    parameters = {"webhook_id": webhook_id, "secret": secret, "previous_until": previous_until}
    await connection.execute(_ROTATE_SECRET, parameters)


async def delete_webhook(connection: AsyncConnection, webhook_id: int) -> bool:
    """Delete a webhook with its deliveries; False if there is none with this id."""
    return (await connection.execute(_DELETE_WEBHOOK, {"webhook_id": webhook_id})).rowcount == 1


async def record_success(connection: AsyncConnection, webhook_id: int) -> None:
    """Note that the receiver accepts deliveries."""
    await connection.execute(_RECORD_SUCCESS, {"webhook_id": webhook_id})


async def record_failure(connection: AsyncConnection, webhook_id: int, failure: Failure, now: datetime) -> bool:
    """Note that a delivery failed; return True if this switched the webhook off."""
    parameters = {
        "webhook_id": webhook_id,
        "now": now,
        "error": failure.error,
        "off_if_failing_since": failure.off_if_failing_since,
        "is_gone": failure.is_gone,
    }
    row = (await connection.execute(_RECORD_FAILURE, parameters)).one_or_none()
    return row is not None and row.disabled_at is not None


def _parameters(columns: WebhookColumns) -> dict[str, object]:
    return {
        "name": columns.name,
        "url": columns.url,
        "events": list(columns.events),
        "messages": columns.messages,
    }
