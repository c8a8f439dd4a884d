"""Sessions: how people sign in and out, each with its audit entry in the same transaction."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.queries import find_login, find_user
from services.api.access.schemas import Credentials
from services.api.edge.refusals import TooManyLogins, WrongCredentials
from services.api.edge.transactions import Database
from shared.access.login_delay import key_of_account, keys_of, wait_until_allowed
from shared.access.passwords import verify_password
from shared.ledger.access_tables import TokenKind
from shared.ledger.audit import Subject, audit
from shared.ledger.login_failures import add_failure, clear_failures, forgive_failure, lock_failures
from shared.ledger.origin import Origin
from shared.ledger.tokens import (
    CreatedToken,
    NewToken,
    create_token,
    revoke_token,
    revoke_tokens_of_user,
    use_link,
)
from shared.ledger.users import UserRow, note_sign_in


@dataclass(frozen=True, slots=True)
class SessionTerms:
    """Durations of a session: in all, and without a request."""

    lifetime: timedelta
    idle: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """A new session of a user, and how many logins of the account had failed before."""

    token: CreatedToken
    user: UserRow
    failed_logins: int = 0


@dataclass(frozen=True, slots=True)
class SignIn:
    """A request to sign in: from where, when, and the terms of the session that it may get.

    `turns` bounds how many logins are counted at a time.
    """

    origin: Origin
    now: datetime
    terms: SessionTerms
    turns: asyncio.Semaphore


async def sign_in(database: Database, credentials: Credentials, request: SignIn) -> Session:
    """Create a session for a login and password.

    A failure is counted before the password is checked. So many logins at once cannot try many passwords. The
    answer is the same for an unknown user as for a wrong password, and takes as long.

    Raises:
        TooManyLogins, WrongCredentials
    """
    origin, account = request.origin, key_of_account(credentials.login)
    keys = keys_of(credentials.login, origin.address)
    failed_before = await count_login(database, keys, request)
    user = await database.statement(find_login, credentials.login)
    is_right = await verify_password(None if user is None else user.password_hash, credentials.password)
    if user is None or not is_right:
        await database.transaction(audit, origin, Subject("user", None if user is None else user.id), refused=True)
        raise WrongCredentials
    session = await database.transaction(_begin_counted_session, user, request, keys)
    return Session(session, user, failed_before[account])


async def count_login(database: Database, keys: Sequence[str], request: SignIn) -> dict[str, int]:
    """Add a failure to an account and an address; return how many they had. Raises TooManyLogins."""
    async with request.turns:
        return await database.transaction(_count_login, keys, request.now)


async def _count_login(connection: AsyncConnection, keys: Sequence[str], now: datetime) -> dict[str, int]:
    failures = await lock_failures(connection, keys, now)
    if wait := wait_until_allowed(failures, now):
        raise TooManyLogins(wait)
    await add_failure(connection, keys, now)
    return {key: found.failures for key, found in failures.items()}


async def _begin_counted_session(
    connection: AsyncConnection, user: UserRow, request: SignIn, keys: Sequence[str]
) -> CreatedToken:
    await clear_failures(connection, keys[:1])
    await forgive_failure(connection, keys[1:])  # the address may be that of many people
    return await begin_session(connection, user, request)


async def begin_session(connection: AsyncConnection, user: UserRow, request: SignIn) -> CreatedToken:
    """Create the session of a user who has proven who they are."""
    await note_sign_in(connection, user.id, request.now)
    await audit(connection, request.origin, Subject("user", user.id))
    new = NewToken(
        TokenKind.SESSION,
        f"session of {user.login}",
        user_id=user.id,
        expires_at=request.now + request.terms.lifetime,
        idle=request.terms.idle,
    )
    return await create_token(connection, new)


async def sign_in_by_link(connection: AsyncConnection, secret: str, request: SignIn) -> Session:
    """Exchange a one-time link for a session. Raises WrongCredentials."""
    user_id = await use_link(connection, secret, request.now)
    user = None if user_id is None else await find_user(connection, user_id)
    if user is None:
        raise WrongCredentials
    return Session(await begin_session(connection, user, request), user)


async def end_session(connection: AsyncConnection, token_id: int, origin: Origin, now: datetime) -> None:
    """Revoke the caller's own token."""
    await revoke_token(connection, token_id, now)
    await audit(connection, origin, Subject("token", token_id))


async def end_all_sessions(connection: AsyncConnection, user_id: int, origin: Origin, now: datetime) -> None:
    """Revoke all sessions of the caller."""
    await revoke_tokens_of_user(connection, user_id, now)
    await audit(connection, origin, Subject("user", user_id))
