"""Users and tokens: what changes them, each with its audit entry in the same transaction."""

import asyncio
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.queries import find_user
from services.api.access.schemas import UserIn
from services.api.edge.refusals import LastAdmin, LoginTaken, NotFound
from shared.access.passwords import hash_password
from shared.access.roles import Role
from shared.ledger.audit import Subject, audit
from shared.ledger.origin import Origin
from shared.ledger.tokens import CreatedToken, create_link, revoke_token, revoke_tokens_of_user
from shared.ledger.users import LoginExists, NewUser, UserRow, change_user, create_user, lock_admins


async def add_user(connection: AsyncConnection, new: UserIn, password_hash: str | None, origin: Origin) -> UserRow:
    """Create a user. Raises LoginTaken."""
    try:
        user = await create_user(
            connection, NewUser(new.login, new.name, new.role, new.language, new.zone, password_hash)
        )
    except LoginExists as error:
        raise LoginTaken from error
    await audit(connection, origin, Subject("user", user.id, after=_columns(user)))
    return user


async def change(
    connection: AsyncConnection, user_id: int, changes: Mapping[str, object], origin: Origin, now: datetime
) -> UserRow:
    """Change a user; a new password or a disabled account ends all sessions of the user.

    Raises:
        NotFound: there is no such user.
        LastAdmin: nobody could administer the service afterwards.
    """
    admins = await lock_admins(connection)
    before = await find_user(connection, user_id)
    if before is None:
        raise NotFound("user", user_id)
    is_admin_after = changes.get("role", before.role) is Role.ADMIN and not changes.get("disabled")
    if admins == {user_id} and not is_admin_after:
        raise LastAdmin
    after = await change_user(connection, user_id, changes)
    assert after is not None, "the user was found in this transaction"
    if changes.get("disabled") or "password_hash" in changes:
        await revoke_tokens_of_user(connection, user_id, now)
    await audit(connection, origin, Subject("user", user_id, _columns(before), _columns(after)))
    return after


async def make_link(connection: AsyncConnection, user_id: int, origin: Origin, now: datetime) -> CreatedToken:
    """Create a one-time link for a user. Raises NotFound, also for a disabled user, whom no link lets in."""
    user = await find_user(connection, user_id)
    if user is None or user.disabled_at is not None:
        raise NotFound("active user", user_id)
    return await create_link(connection, user.id, user.login, now, origin)


async def revoke(connection: AsyncConnection, token_id: int, origin: Origin, now: datetime) -> None:
    """Revoke a token. Raises NotFound."""
    if not await revoke_token(connection, token_id, now):
        raise NotFound("token", token_id)
    await audit(connection, origin, Subject("token", token_id))


async def hashed(password: str | None) -> str | None:
    """Return the hash of a password, made in a thread; None for none."""
    return None if password is None else await asyncio.to_thread(hash_password, password)


def _columns(user: UserRow) -> dict[str, object]:
    """Return the fields of a user that the audit shows. A new password only shows as changed."""
    return {
        "login": user.login,
        "name": user.name,
        "role": user.role,
        "language": user.language,
        "zone": user.zone,
        "has_password": user.password_hash is not None,
        "subject": user.subject,
        "disabled_at": user.disabled_at,
    }
