"""Sign-in with an ID token: find, link or create its user, and begin a session."""

from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from services.api.access.oidc.claims import TokenRefused
from services.api.access.oidc.identity import Identity, RoleMapping, identity_of
from services.api.access.oidc.verifier import Verifier
from services.api.access.queries import find_login, find_subject
from services.api.access.sessions import Session, SignIn, begin_session, count_login
from services.api.edge.refusals import IdentityRefused
from services.api.edge.transactions import Database
from shared.access.login_delay import keys_of_address
from shared.ledger.audit import Subject, audit
from shared.ledger.login_failures import forgive_failure
from shared.ledger.origin import Origin
from shared.ledger.spent_nonces import spend_nonce
from shared.ledger.users import LoginExists, NewUser, UserRow, change_user, create_user, link_subject


@dataclass(frozen=True, slots=True)
class IdentityProvider:
    """The configured provider: what verifies its tokens, and what its people may become."""

    verifier: Verifier
    mapping: RoleMapping
    creates_users: bool  # at their first login


async def sign_in_by_id_token(
    database: Database, provider: IdentityProvider, token: str, nonce: str, request: SignIn
) -> Session:
    """Create a session for the person of an ID token.

    Raises:
        TooManyLogins: too many logins from this address have failed.
        IdentityRefused: the token proves nothing, or its person may not sign in.
        IssuerUnavailable: the provider's keys cannot be fetched.
    """
    keys = keys_of_address(request.origin.address)
    await count_login(database, keys, request)
    try:
        claims = await provider.verifier.verify_id_token(token, nonce, request.now)
        identity = identity_of(claims, provider.mapping)
        request = replace(request, origin=replace(request.origin, actor=identity.login))
        session = await database.transaction(_begin, provider, identity, nonce, request)
    except (TokenRefused, IdentityRefused) as error:
        await database.transaction(audit, request.origin, Subject("user"), refused=True)
        raise IdentityRefused(str(error)) from error
    await database.transaction(forgive_failure, keys)
    return session


async def _begin(
    connection: AsyncConnection, provider: IdentityProvider, identity: Identity, nonce: str, request: SignIn
) -> Session:
    if not await spend_nonce(connection, nonce, request.now):
        raise IdentityRefused("Somebody has signed in with this token before (nonce).")
    user = await find_subject(connection, identity.issuer, identity.subject)
    user = user or await _link(connection, identity, request.origin)
    user = user or await _create(connection, provider, identity, request.origin)
    if user.disabled_at is not None:
        raise IdentityRefused("This user is disabled.")
    if provider.mapping.decides:
        user = await _take_role(connection, user, identity, request.origin)
    request = replace(request, origin=replace(request.origin, actor=user.login, user_id=user.id))
    return Session(await begin_session(connection, user, request), user)


async def _link(connection: AsyncConnection, identity: Identity, origin: Origin) -> UserRow | None:
    """Return the user whose login is the verified e-mail address, from now on known by the subject.

    Other claims, such as the preferred name, can be changed by the person, so they link nobody.
    """
    if identity.verified_email is None:
        return None
    user = await find_login(connection, identity.verified_email)
    if user is None:
        return None
    linked = await link_subject(connection, user.id, identity.issuer, identity.subject)
    if linked is not None:
        await audit(connection, origin, Subject("user", user.id, {"subject": None}, {"subject": linked.subject}))
    return linked


async def _create(
    connection: AsyncConnection, provider: IdentityProvider, identity: Identity, origin: Origin
) -> UserRow:
    if not provider.creates_users:
        raise IdentityRefused("Nobody has made a user for you here. Ask an admin.")
    if identity.role is None:
        raise IdentityRefused("None of your groups has a role here. Ask an admin.")
    new = NewUser(
        identity.login,
        identity.name,
        identity.role,
        identity.language,
        issuer=identity.issuer,
        subject=identity.subject,
    )
    try:
        user = await create_user(connection, new)
    except LoginExists as error:
        raise IdentityRefused(f"Another user has your login {identity.login}. Ask an admin.") from error
    after = {"login": user.login, "name": user.name, "role": user.role, "subject": user.subject}
    await audit(connection, origin, Subject("user", user.id, after=after))
    return user


async def _take_role(connection: AsyncConnection, user: UserRow, identity: Identity, origin: Origin) -> UserRow:
    """Give the user the role of their groups at this login. The provider decides, also against the last admin."""
    if identity.role is None:
        raise IdentityRefused("None of your groups has a role here any more. Ask an admin.")
    if identity.role is user.role:
        return user
    changed = await change_user(connection, user.id, {"role": identity.role})
    assert changed is not None, "the user was found in this transaction"
    await audit(connection, origin, Subject("user", user.id, {"role": user.role}, {"role": identity.role}))
    return changed
