"""Every statement that writes the table `tokens`."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access.roles import Role
from shared.access.tokens import digest_of, hint_of, new_token
from shared.ledger.access_tables import TokenKind
from shared.ledger.audit import Subject, audit
from shared.ledger.origin import Origin

LINK_LIFETIME = timedelta(minutes=15)

_CREATE_TOKEN = text("""
    -- create_token --
    INSERT INTO tokens (kind, digest, hint, name, role, user_id, expires_at, idle_seconds)
    VALUES (CAST(:kind AS token_kind), :digest, :hint, :name, CAST(:role AS role), :user_id, :expires_at,
        :idle_seconds)
    RETURNING id
""")

_TOUCH_TOKEN = text("""
    -- touch_token --
    UPDATE tokens SET used_at = :now WHERE id = :token_id
""")

_REVOKE_TOKEN = text("""
    -- revoke_token --
    UPDATE tokens SET revoked_at = coalesce(revoked_at, :now) WHERE id = :token_id RETURNING id
""")

_REVOKE_TOKENS_OF_USER = text("""
    -- revoke_tokens_of_user --
    UPDATE tokens SET revoked_at = :now WHERE user_id = :user_id AND revoked_at IS NULL
""")

# In the same statement, so that two exchanges at once cannot both succeed.
_USE_LINK = text("""
    -- use_link --
    UPDATE tokens SET revoked_at = :now, used_at = :now
    FROM users
    WHERE digest = :digest AND kind = 'link' AND revoked_at IS NULL AND expires_at > :now
      AND users.id = tokens.user_id AND users.disabled_at IS NULL
    RETURNING tokens.user_id
""")

_DELETE_OLD_TOKENS = text("""
    -- delete_old_tokens --
    DELETE FROM tokens WHERE id IN (
        SELECT id FROM tokens
        WHERE kind <> 'api' AND expires_at < :expired_before ORDER BY expires_at LIMIT :limit
        FOR UPDATE SKIP LOCKED
    )
""")


@dataclass(frozen=True, slots=True)
class NewToken:
    """Columns of a token to create. A session or link has the role of its user, so its own is None."""

    kind: TokenKind
    name: str
    role: Role | None = None
    user_id: int | None = None
    expires_at: datetime | None = None
    idle: timedelta | None = None


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A new token with its secret, which is shown once and not kept."""

    id: int
    secret: str
    expires_at: datetime | None


async def create_token(connection: AsyncConnection, new: NewToken) -> CreatedToken:
    """Create a token and return it with its secret."""
    secret = new_token()
    created = await connection.execute(
        _CREATE_TOKEN,
        {
            "kind": new.kind,
            "digest": digest_of(secret),
            "hint": hint_of(secret),
            "name": new.name,
            "role": new.role,
            "user_id": new.user_id,
            "expires_at": new.expires_at,
            "idle_seconds": None if new.idle is None else int(new.idle.total_seconds()),
        },
    )
    return CreatedToken(created.scalar_one(), secret, new.expires_at)


async def create_program_token(
    connection: AsyncConnection, name: str, role: Role, expires_at: datetime | None, origin: Origin
) -> CreatedToken:
    """Create a token of a program, with its audit entry."""
    created = await create_token(connection, NewToken(TokenKind.API, name, role, expires_at=expires_at))
    after = {"name": name, "role": role, "expires_at": expires_at}
    await audit(connection, origin, Subject("token", created.id, after=after))
    return created


async def create_link(
    connection: AsyncConnection, user_id: int, login: str, now: datetime, origin: Origin
) -> CreatedToken:
    """Create the token of a one-time link for a user, with its audit entry."""
    new = NewToken(TokenKind.LINK, f"link for {login}", user_id=user_id, expires_at=now + LINK_LIFETIME)
    created = await create_token(connection, new)
    await audit(connection, origin, Subject("user", user_id))
    return created


async def touch_token(connection: AsyncConnection, token_id: int, now: datetime) -> None:
    """Note that the token was used."""
    await connection.execute(_TOUCH_TOKEN, {"token_id": token_id, "now": now})


async def revoke_token(connection: AsyncConnection, token_id: int, now: datetime) -> bool:
    """Revoke the token; False if there is none with this id."""
    revoked = await connection.execute(_REVOKE_TOKEN, {"token_id": token_id, "now": now})
    return revoked.one_or_none() is not None


async def revoke_tokens_of_user(connection: AsyncConnection, user_id: int, now: datetime) -> None:
    """Revoke all sessions, links and tokens of the user."""
    await connection.execute(_REVOKE_TOKENS_OF_USER, {"user_id": user_id, "now": now})


async def use_link(connection: AsyncConnection, secret: str, now: datetime) -> int | None:
    """Use up a one-time link and return its user's id; None if it is unknown, used or too old."""
    used = await connection.execute(_USE_LINK, {"digest": digest_of(secret), "now": now})
    user_id: int | None = used.scalar_one_or_none()
    return user_id


async def delete_old_tokens(connection: AsyncConnection, expired_before: datetime, limit: int) -> int:
    """Delete up to `limit` sessions and links that expired before the instant; return how many there were."""
    parameters = {"expired_before": expired_before, "limit": limit}
    return (await connection.execute(_DELETE_OLD_TOKENS, parameters)).rowcount
