"""Every statement that writes the table `clients`, but for the merge of an import."""

from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.ledger.audit import audited, origin_parameters
from shared.ledger.origin import Origin

_MASKED_NUMBER = "left({client}.number::text, 4) || '*****' || right({client}.number::text, 2)"


def _shown(client: str) -> str:
    """Return the columns of a client for the audit."""
    number = _MASKED_NUMBER.format(client=client)
    return f"jsonb_build_object('number', {number}, 'tag', {client}.tag, 'zone', {client}.zone)"


# Each of these writes its audit entry itself, because clients are created and changed in large numbers.
_CREATE_CLIENT = text(f"""
    -- create_client --
    WITH changed AS (
        INSERT INTO clients (number, tag, zone) VALUES (:number, :tag, :zone)
        ON CONFLICT (number) DO NOTHING
        RETURNING id, number, code, tag, zone
    ), {audited("client", after=_shown("changed"))}
    SELECT id, number, code, tag, zone FROM changed
""")  # noqa: S608 - all parts are ours

_CHANGE_CLIENT = text(f"""
    -- change_client --
    WITH present AS (
        SELECT id, number, tag, zone FROM clients WHERE id = :id FOR UPDATE
    ), changed AS (
        UPDATE clients SET
            number = coalesce(CAST(:number AS bigint), clients.number),
            tag = coalesce(CAST(:tag AS text), clients.tag),
            zone = coalesce(CAST(:zone AS text), clients.zone)
        FROM present WHERE clients.id = present.id
        RETURNING clients.id, clients.number, clients.code, clients.tag, clients.zone
    ), {audited("client", before=f"(SELECT {_shown('present')} FROM present)", after=_shown("changed"))}
    SELECT id, number, code, tag, zone FROM changed
""")  # noqa: S608 - all parts are ours

_DELETE_CLIENT = text(f"""
    -- delete_client --
    WITH changed AS (
        DELETE FROM clients WHERE id = :id RETURNING id, number, tag, zone
    ), {audited("client", before=_shown("changed"))}
    SELECT id FROM changed
""")  # noqa: S608 - all parts are ours

_DELETE_CLIENT_WITHOUT_OPEN_MESSAGES = text(f"""
    -- delete_client_without_open_messages --
    WITH changed AS (
        DELETE FROM clients
        WHERE id = :id AND NOT EXISTS (SELECT FROM messages WHERE client_id = :id AND status = 'new')
        RETURNING id, number, tag, zone
    ), {audited("client", before=_shown("changed"))}
    SELECT id FROM changed
""")  # noqa: S608 - all parts are ours


class ClientRow(NamedTuple):
    """A client as it is stored. `code` is derived from the number."""

    id: int
    number: int
    code: int
    tag: str
    zone: str


@dataclass(frozen=True, slots=True)
class NewClient:
    """Columns of a client to create."""

    number: int
    tag: str
    zone: str


async def create_client(connection: AsyncConnection, new: NewClient, origin: Origin) -> ClientRow | None:
    """Create a client; return None if another client has the number."""
    values = {"number": new.number, "tag": new.tag, "zone": new.zone, **origin_parameters(origin)}
    return _client((await connection.execute(_CREATE_CLIENT, values)).one_or_none())


async def change_client(
    connection: AsyncConnection,
    client_id: int,
    origin: Origin,
    *,
    number: int | None = None,
    tag: str | None = None,
    zone: str | None = None,
) -> ClientRow | None:
    """Change the columns whose new value is given; return None if there is no such client.

    Raises sqlalchemy's IntegrityError if another client has the number.
    """
    values = {"id": client_id, "number": number, "tag": tag, "zone": zone, **origin_parameters(origin)}
    return _client((await connection.execute(_CHANGE_CLIENT, values)).one_or_none())


async def delete_client(connection: AsyncConnection, client_id: int, origin: Origin) -> bool:
    """Delete a client; return False if there is no such client."""
    deleted = await connection.execute(_DELETE_CLIENT, {"id": client_id, **origin_parameters(origin)})
    return deleted.one_or_none() is not None


async def delete_client_without_open_messages(connection: AsyncConnection, client_id: int, origin: Origin) -> bool:
    """Delete a client to whom no message may still be sent; return False if nothing was deleted."""
    values = {"id": client_id, **origin_parameters(origin)}
    deleted = await connection.execute(_DELETE_CLIENT_WITHOUT_OPEN_MESSAGES, values)
    return deleted.one_or_none() is not None


def _client(row: Row[tuple[int, int, int, str, str]] | None) -> ClientRow | None:
    return None if row is None else ClientRow(row.id, row.number, row.code, row.tag, row.zone)
