"""Sessions, users and tokens: what changes them, each with its audit entry in the same transaction."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.queries import find_login, find_user
from services.api.access.schemas import SESSION_IDLE, SESSION_LIFETIME, Credentials, UserIn
from services.api.edge.refusals import LastAdmin, LoginTaken, NotFound, TooManyLogins, WrongCredentials
from services.api.edge.transactions import Database
from shared.access.login_delay import keys_of, wait_until_allowed
from shared.access.passwords import hash_password, verify_password
from shared.access.roles import Role
from shared.ledger.access_tables import TokenKind
from shared.ledger.audit import Subject, audit
from shared.ledger.login_failures import add_failure, clear_failures, lock_failures
from shared.ledger.origin import Origin
from shared.ledger.tokens import (
    CreatedToken,
    NewToken,
    create_token,
    revoke_token,
    revoke_tokens_of_user,
    use_link,
)
from shared.ledger.users import LoginExists, NewUser, UserRow, change_user, create_user, lock_admins, note_sign_in


@dataclass(frozen=True, slots=True)
class Session:
    """A new session of a user, and how many logins of the account had failed before."""

    token: CreatedToken
    user: UserRow
    failed_logins: int = 0


async def sign_in(database: Database, credentials: Credentials, origin: Origin, now: datetime) -> Session:
    """Create a session for a login and password.

    A failure is counted before the password is checked. So many logins at once cannot try many passwords. The
    answer is the same for an unknown user as for a wrong password, and takes as long.

    Raises:
        TooManyLogins, WrongCredentials
    """
    keys = keys_of(credentials.login, origin.address)
    failed_before = await database.transaction(_count_login, keys, now)
    user = await database.statement(find_login, credentials.login)
    is_right = await verify_password(None if user is None else user.password_hash, credentials.password)
    if user is None or not is_right:
        await database.transaction(audit, origin, Subject("user", None if user is None else user.id), refused=True)
        raise WrongCredentials
    session = await database.transaction(_begin_session, user, origin, now, keys[:1])
    return Session(session, user, failed_before)


async def _count_login(connection: AsyncConnection, keys: list[str], now: datetime) -> int:
    """Add a failure to the account and the address, and return how many the account had. Raises TooManyLogins."""
    failures = await lock_failures(connection, keys, now)
    if wait := wait_until_allowed(failures, now):
        raise TooManyLogins(wait)
    await add_failure(connection, keys, now)
    return failures[keys[0]].failures


async def _begin_session(
    connection: AsyncConnection, user: UserRow, origin: Origin, now: datetime, keys: list[str]
) -> CreatedToken:
    await clear_failures(connection, keys)
    await note_sign_in(connection, user.id, now)
    await audit(connection, origin, Subject("user", user.id))
    new = NewToken(
        TokenKind.SESSION,
        f"session of {user.login}",
        user_id=user.id,
        expires_at=now + SESSION_LIFETIME,
        idle=SESSION_IDLE,
    )
    return await create_token(connection, new)


async def sign_in_by_link(connection: AsyncConnection, secret: str, origin: Origin, now: datetime) -> Session:
    """Exchange a one-time link for a session. Raises WrongCredentials."""
    user_id = await use_link(connection, secret, now)
    user = None if user_id is None else await find_user(connection, user_id)
    if user is None:
        raise WrongCredentials
    return Session(await _begin_session(connection, user, origin, now, []), user)


async def end_session(connection: AsyncConnection, token_id: int, origin: Origin, now: datetime) -> None:
    """Revoke the caller's own token."""
    await revoke_token(connection, token_id, now)
    await audit(connection, origin, Subject("token", token_id))


async def end_all_sessions(connection: AsyncConnection, user_id: int, origin: Origin, now: datetime) -> None:
    """Revoke all sessions of the caller."""
    await revoke_tokens_of_user(connection, user_id, now)
    await audit(connection, origin, Subject("user", user_id))


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
        "disabled_at": user.disabled_at,
    }
