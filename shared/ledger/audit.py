"""Every statement that writes the table `audit`, and the part with which a statement writes its own entry."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.origin import Origin
from shared.masking import masked

_COLUMNS = "actor, token_id, user_id, address, request_id, operation, refused, noun, noun_id, before, after"
_ORIGIN = """:actor, CAST(:token_id AS bigint), CAST(:user_id AS bigint), CAST(:address AS text),
        CAST(:request_id AS text), CAST(:operation AS text)"""

_INSERT_ENTRY = text(f"""
    -- insert_audit_entry --
    INSERT INTO audit ({_COLUMNS})
    VALUES ({_ORIGIN}, :refused, :noun, :noun_id, CAST(:before AS jsonb), CAST(:after AS jsonb))
""")  # noqa: S608 - the names are ours

_DELETE_OLD_ENTRIES = text("""
    -- delete_old_audit_entries --
    DELETE FROM audit WHERE id IN (
        SELECT id FROM audit WHERE at < :before ORDER BY at LIMIT :limit FOR UPDATE SKIP LOCKED
    )
""")

Columns = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Subject:
    """Thing that a change concerns, with its columns before and after; None where it does not exist."""

    noun: str
    id: int | None = None
    before: Columns | None = None
    after: Columns | None = None


async def audit(
    connection: AsyncConnection, origin: Origin, subject: Subject | None = None, *, refused: bool = False
) -> None:
    """Write an entry in the caller's transaction. Of a change, it holds the columns that differ."""
    subject = subject or Subject("request")
    before, after = _differences(subject.before, subject.after)
    await connection.execute(
        _INSERT_ENTRY,
        {
            **origin_parameters(origin),
            "refused": refused,
            "noun": subject.noun,
            "noun_id": subject.id,
            "before": before,
            "after": after,
        },
    )


def audited(noun: str, *, before: str = "NULL", after: str = "NULL") -> str:
    """Return a part `audited` of a statement that writes its entry itself, which saves a round trip.

    The statement has a part `changed` with the `id` of what it changed. `before` and `after` are expressions of
    jsonb. Its parameters are those of `origin_parameters`.
    """
    return f"""audited AS (
        INSERT INTO audit ({_COLUMNS})
        SELECT {_ORIGIN}, false, '{noun}', changed.id, CAST({before} AS jsonb), CAST({after} AS jsonb) FROM changed
    )"""  # noqa: S608 - all parts are ours


def origin_parameters(origin: Origin) -> dict[str, object]:
    """Return the parameters of a statement with a part `audited`."""
    return {
        "actor": origin.actor,
        "token_id": origin.token_id,
        "user_id": origin.user_id,
        "address": origin.address,
        "request_id": origin.request_id,
        "operation": origin.operation,
    }


async def delete_old_entries(connection: AsyncConnection, before: datetime, limit: int) -> int:
    """Delete up to `limit` entries that are older than the instant; return how many there were."""
    return (await connection.execute(_DELETE_OLD_ENTRIES, {"before": before, "limit": limit})).rowcount


def _differences(before: Columns | None, after: Columns | None) -> tuple[str | None, str | None]:
    if before is not None and after is not None:
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        before = {name: value for name, value in before.items() if name in changed}
        after = {name: value for name, value in after.items() if name in changed}
    return _as_json(before), _as_json(after)


def _as_json(columns: Columns | None) -> str | None:
    """Return the columns as JSON, with masked phone numbers."""
    if columns is None:
        return None
    shown = {
        name: masked(value) if name == "number" and isinstance(value, int) else value
        for name, value in columns.items()
    }
    return orjson.dumps(shown, default=str).decode()
