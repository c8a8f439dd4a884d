"""Every statement that writes the table `clients`, but for the merge of an import."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple, TypedDict

import orjson
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.attributes import Attributes
from shared.ledger.audit import audited, origin_parameters
from shared.ledger.origin import Origin

_MASKED_NUMBER = "left({client}.number::text, 4) || '*****' || right({client}.number::text, 2)"


def _shown(client: str) -> str:
    """Return the columns of a client for the audit, and of the attributes only the names."""
    number = _MASKED_NUMBER.format(client=client)
    fields = f"jsonb_build_object('number', {number}, 'tag', {client}.tag, 'zone', {client}.zone)"
    names = f"(SELECT jsonb_agg(name) FROM jsonb_object_keys({client}.attributes) AS name)"  # noqa: S608 - ours
    present = f"CASE WHEN {client}.attributes <> '{{}}' THEN jsonb_build_object('attributes', {names})"
    return f"{fields} || {present} ELSE '{{}}' END"


# PostgreSQL gives every version of a row the number of the transaction that wrote it. It is the API's entity tag.
_HAS_VERSION = "(CAST(:versions AS text[]) IS NULL OR clients.xmin::text = ANY(CAST(:versions AS text[])))"

# Each of these writes its audit entry itself, because clients are created and changed in large numbers.
_CREATE_CLIENT = text(f"""
    -- create_client --
    WITH changed AS (
        INSERT INTO clients (number, tag, zone, attributes)
        VALUES (:number, :tag, :zone, CAST(:attributes AS jsonb))
        ON CONFLICT (number) DO NOTHING
        RETURNING id, number, code, tag, zone, attributes, xmin::text AS version
    ), {audited("client", after=_shown("changed"))}
    SELECT id, number, code, tag, zone, attributes, version FROM changed
""")  # noqa: S608 - all parts are ours

_CHANGE_CLIENT = text(f"""
    -- change_client --
    WITH present AS (
        SELECT id, number, tag, zone, attributes FROM clients WHERE id = :id AND {_HAS_VERSION} FOR UPDATE
    ), changed AS (
        UPDATE clients SET
            number = coalesce(CAST(:number AS bigint), clients.number),
            tag = coalesce(CAST(:tag AS text), clients.tag),
            zone = coalesce(CAST(:zone AS text), clients.zone),
            attributes = coalesce(CAST(:attributes AS jsonb), clients.attributes)
        FROM present WHERE clients.id = present.id
        RETURNING clients.id, clients.number, clients.code, clients.tag, clients.zone,
            clients.attributes, clients.xmin::text AS version
    ), {audited("client", before=f"(SELECT {_shown('present')} FROM present)", after=_shown("changed"))}
    SELECT id, number, code, tag, zone, attributes, version FROM changed
""")  # noqa: S608 - all parts are ours

_DELETE_CLIENT = text(f"""
    -- delete_client --
    WITH changed AS (
        DELETE FROM clients WHERE id = :id AND {_HAS_VERSION} RETURNING id, number, tag, zone, attributes
    ), {audited("client", before=_shown("changed"))}
    SELECT id FROM changed
""")  # noqa: S608 - all parts are ours

_DELETE_CLIENT_WITHOUT_OPEN_MESSAGES = text(f"""
    -- delete_client_without_open_messages --
    WITH changed AS (
        DELETE FROM clients
        WHERE id = :id AND {_HAS_VERSION}
            AND NOT EXISTS (SELECT FROM messages WHERE client_id = :id AND status = 'new')
        RETURNING id, number, tag, zone, attributes
    ), {audited("client", before=_shown("changed"))}
    SELECT id FROM changed
""")  # noqa: S608 - all parts are ours

# The entry says nothing of the columns, as these are what is to be erased.
_ERASE_CLIENT = text(f"""
    -- erase_client --
    WITH changed AS (
        DELETE FROM clients WHERE id = :id RETURNING id, number
    ), {audited("client")}
    SELECT number FROM changed
""")  # noqa: S608 - all parts are ours


class ClientRow(NamedTuple):
    """A client as it is stored. `code` is derived from the number."""

    id: int
    number: int
    code: int
    tag: str
    zone: str
    attributes: Attributes
    version: str


@dataclass(frozen=True, slots=True)
class NewClient:
    """Columns of a client to create."""

    number: int
    tag: str
    zone: str
    attributes: Attributes


class ClientChanges(TypedDict, total=False):
    """New values of a client's columns."""

    number: int
    tag: str
    zone: str
    attributes: Attributes


_UNCHANGED = dict.fromkeys(ClientChanges.__annotations__)  # NULL for a column that keeps its value

Versions = Collection[str] | None  # that the row may have for a change of it; None: any


async def create_client(connection: AsyncConnection, new: NewClient, origin: Origin) -> ClientRow | None:
    """Create a client; return None if another client has the number."""
    values = {"number": new.number, "tag": new.tag, "zone": new.zone}
    values |= {"attributes": _json(new.attributes), **origin_parameters(origin)}
    return _client((await connection.execute(_CREATE_CLIENT, values)).one_or_none())


async def change_client(
    connection: AsyncConnection,
    client_id: int,
    changes: ClientChanges,
    origin: Origin,
    versions: Versions = None,
) -> ClientRow | None:
    """Change the columns whose new value is given; return None if there is no such client, or of other versions.

    Raises sqlalchemy's IntegrityError if another client has the number.
    """
    values = {**_UNCHANGED, **changes, **_key(client_id, versions), **origin_parameters(origin)}
    if "attributes" in changes:
        values["attributes"] = _json(changes["attributes"])
    return _client((await connection.execute(_CHANGE_CLIENT, values)).one_or_none())


async def delete_client(
    connection: AsyncConnection, client_id: int, origin: Origin, versions: Versions = None
) -> bool:
    """Delete a client; return False if there is no such client, or of other versions."""
    values = {**_key(client_id, versions), **origin_parameters(origin)}
    deleted = await connection.execute(_DELETE_CLIENT, values)
    return deleted.one_or_none() is not None


async def delete_client_without_open_messages(
    connection: AsyncConnection, client_id: int, origin: Origin, versions: Versions = None
) -> bool:
    """Delete a client to whom no message may still be sent; return False if nothing was deleted."""
    values = {**_key(client_id, versions), **origin_parameters(origin)}
    deleted = await connection.execute(_DELETE_CLIENT_WITHOUT_OPEN_MESSAGES, values)
    return deleted.one_or_none() is not None


async def erase_client(connection: AsyncConnection, client_id: int, origin: Origin) -> int | None:
    """Delete a client for an erasure, and return its number; None if there is no such client."""
    erased = await connection.execute(_ERASE_CLIENT, {"id": client_id, **origin_parameters(origin)})
    number: int | None = erased.scalar_one_or_none()
    return number


def _key(client_id: int, versions: Versions) -> dict[str, object]:
    return {"id": client_id, "versions": None if versions is None else sorted(versions)}


def _client(row: Row[tuple[int, int, int, str, str, Attributes, str]] | None) -> ClientRow | None:
    return None if row is None else ClientRow(**row._mapping)


def _json(attributes: Attributes) -> str:
    return orjson.dumps(attributes).decode()
