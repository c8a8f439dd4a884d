"""Reads of users, tokens and the audit."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.edge.principal import Principal
from shared.access.roles import Role
from shared.ledger.users import USER_COLUMNS, UserRow

_FIND_TOKEN = text("""
    -- find_token --
    SELECT tokens.id, kind, tokens.name, coalesce(tokens.role, users.role) AS role, user_id, login, used_at,
        tokens.created_at, idle_seconds
    FROM tokens LEFT JOIN users ON users.id = user_id
    WHERE digest = :digest AND kind <> 'link' AND revoked_at IS NULL
      AND (expires_at IS NULL OR expires_at > :now) AND users.disabled_at IS NULL
""")

_FIND_USER = text(f"""
    -- find_user --
    SELECT {USER_COLUMNS} FROM users WHERE id = :user_id
""")  # noqa: S608 - the names are ours

_FIND_LOGIN = text(f"""
    -- find_login --
    SELECT {USER_COLUMNS} FROM users WHERE lower(login) = lower(:login) AND disabled_at IS NULL
""")  # noqa: S608 - the names are ours

_FIND_SUBJECT = text(f"""
    -- find_subject --
    SELECT {USER_COLUMNS} FROM users WHERE issuer = :issuer AND subject = :subject
""")  # noqa: S608 - the names are ours

_LIST_USERS = text(f"""
    -- list_users --
    SELECT {USER_COLUMNS} FROM users WHERE id > :after ORDER BY id LIMIT :limit
""")  # noqa: S608 - the names are ours

_LIST_TOKENS = text("""
    -- list_tokens --
    SELECT id, name, role, hint, created_at, expires_at, used_at, revoked_at FROM tokens
    WHERE kind = 'api' AND id > :after ORDER BY id LIMIT :limit
""")

_LIST_AUDIT = """
    -- list_audit --
    SELECT id, at, actor, token_id, user_id, address, request_id, operation, refused, noun, noun_id, before, after
    FROM audit WHERE id < :before_id {conditions} ORDER BY id DESC LIMIT :limit
"""
AUDIT_FILTERS = ("actor", "operation", "noun", "noun_id")

_TOUCH_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FoundToken:
    """A token that is in force, and whether its last use should be noted again."""

    principal: Principal
    is_due_for_touch: bool


async def find_token(connection: AsyncConnection, digest: bytes, now: datetime) -> FoundToken | None:
    """Return the principal of a token; None if it is unknown, expired, revoked, idle, or its user disabled."""
    row = (await connection.execute(_FIND_TOKEN, {"digest": digest, "now": now})).one_or_none()
    if row is None:
        return None
    used_at = row.used_at or row.created_at
    if row.idle_seconds is not None and now - used_at > timedelta(seconds=row.idle_seconds):
        return None
    principal = Principal(
        actor=row.login or row.name,
        role=Role(row.role),
        token_id=row.id,
        user_id=row.user_id,
    )
    return FoundToken(principal, row.used_at is None or now - row.used_at > _TOUCH_AFTER)


async def find_user(connection: AsyncConnection, user_id: int) -> UserRow | None:
    """Return the user; None if there is none."""
    row = (await connection.execute(_FIND_USER, {"user_id": user_id})).one_or_none()
    return None if row is None else UserRow.from_row(row)


async def find_login(connection: AsyncConnection, login: str) -> UserRow | None:
    """Return the user with this login, whatever its capital letters; None if there is none, or it is disabled."""
    row = (await connection.execute(_FIND_LOGIN, {"login": login})).one_or_none()
    return None if row is None else UserRow.from_row(row)


async def find_subject(connection: AsyncConnection, issuer: str, subject: str) -> UserRow | None:
    """Return the user whom an identity provider knows by this name; a disabled one, too."""
    row = (await connection.execute(_FIND_SUBJECT, {"issuer": issuer, "subject": subject})).one_or_none()
    return None if row is None else UserRow.from_row(row)


async def list_users(connection: AsyncConnection, *, after: int, limit: int) -> list[UserRow]:
    """Return users by ascending id."""
    rows = await connection.execute(_LIST_USERS, {"after": after, "limit": limit})
    return [UserRow.from_row(row) for row in rows]


async def list_tokens(connection: AsyncConnection, *, after: int, limit: int) -> list[dict[str, object]]:
    """Return the tokens of programs by ascending id, without secrets and digests."""
    rows = await connection.execute(_LIST_TOKENS, {"after": after, "limit": limit})
    return [dict(row) for row in rows.mappings()]


async def list_audit(
    connection: AsyncConnection, filters: dict[str, object], *, before_id: int, limit: int
) -> list[dict[str, object]]:
    """Return audit entries, newest first, that have all of the given values of AUDIT_FILTERS."""
    given = {name: value for name, value in filters.items() if name in AUDIT_FILTERS and value is not None}
    conditions = "".join(f" AND {name} = :{name}" for name in given)
    statement = text(_LIST_AUDIT.format(conditions=conditions))
    rows = await connection.execute(statement, {**given, "before_id": before_id, "limit": limit})
    return [dict(row) for row in rows.mappings()]
