"""Routes of /api/session/, /api/me/, /api/user/, /api/token/ and /api/audit/."""

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Path, Query

from services.api.access import commands, queries, sessions
from services.api.access.dependencies import AuthenticatorDep, IdentityProviderDep, PrincipalDep, SignInDep
from services.api.access.oidc.sign_in import sign_in_by_id_token
from services.api.access.schemas import (
    AuditPage,
    Credentials,
    IdToken,
    LinkOut,
    LinkToken,
    Me,
    MyChange,
    NewTokenOut,
    SessionOut,
    TokenIn,
    TokenPage,
    UserChange,
    UserIn,
    UserOut,
    UserPage,
)
from services.api.edge.dependencies import DatabaseDep, OriginDep
from services.api.edge.ids import Digits
from services.api.edge.pages import After, Limit, cut_page
from services.api.edge.problems import documented
from services.api.edge.refusals import (
    IdentityRefused,
    LastAdmin,
    LoginTaken,
    NoIdentityProvider,
    NotFound,
    NoUser,
    TooManyLogins,
    WrongCredentials,
)
from services.api.edge.strict_json import StrictJsonRoute
from shared.access.passwords import verify_password
from shared.contracts import INT64_MAX, utc_now
from shared.ledger.tokens import create_program_token
from shared.ledger.users import UserRow

router = APIRouter(prefix="/api", tags=["access"], route_class=StrictJsonRoute)

UserId = Annotated[int, Path(ge=1, le=INT64_MAX, examples=[1])]
TokenId = Annotated[int, Path(ge=1, le=INT64_MAX, examples=[1])]
_Text = Annotated[str | None, Query(max_length=100)]


@router.post(
    "/session/",
    status_code=201,
    summary="Sign in with a password",
    responses=documented(WrongCredentials, TooManyLogins),
)
async def sign_in(credentials: Credentials, database: DatabaseDep, request: SignInDep) -> SessionOut:
    """Create a session, and return its token. No token is needed for this request.

    After five failed logins of an account, each further one doubles the time until the next is allowed.
    """
    request = _as(request, credentials.login)
    return _session_out(await sessions.sign_in(database, credentials, request), request)


@router.post(
    "/session/link/",
    status_code=201,
    summary="Sign in with a one-time link",
    responses=documented(WrongCredentials),
)
async def sign_in_by_link(given: LinkToken, database: DatabaseDep, request: SignInDep) -> SessionOut:
    """Exchange the token of a one-time link for a session. No token is needed for this request.

    `mailing user link` makes such a link. It works once, for 15 minutes.
    """
    request = _as(request, "one-time link")
    return _session_out(await database.transaction(sessions.sign_in_by_link, given.link, request), request)


@router.post(
    "/session/oidc/",
    status_code=201,
    summary="Sign in with an ID token",
    responses=documented(IdentityRefused, NoIdentityProvider, TooManyLogins),
)
async def sign_in_by_identity(
    given: IdToken, database: DatabaseDep, provider: IdentityProviderDep, request: SignInDep
) -> SessionOut:
    """Exchange an ID token of the configured identity provider for a session. No token of ours is needed.

    The API verifies signature, issuer, audience, nonce, `azp`, age and expiry itself. A nonce can be used once.
    """
    request = _as(request, "identity provider")
    session = await sign_in_by_id_token(database, provider, given.id_token, given.nonce, request)
    return _session_out(session, request)


@router.delete("/session/", status_code=204, summary="Sign out", responses=documented())
async def sign_out(
    database: DatabaseDep, principal: PrincipalDep, origin: OriginDep, authenticator: AuthenticatorDep
) -> None:
    """End the session, or revoke the token, with which this request is sent."""
    if principal.token_id is not None:
        await database.transaction(sessions.end_session, principal.token_id, origin, utc_now())
        authenticator.forget_all()


@router.delete("/session/all/", status_code=204, summary="Sign out everywhere", responses=documented(NoUser))
async def sign_out_everywhere(
    database: DatabaseDep, principal: PrincipalDep, origin: OriginDep, authenticator: AuthenticatorDep
) -> None:
    """End all sessions of the caller, also on other devices."""
    if principal.user_id is None:
        raise NoUser
    await database.transaction(sessions.end_all_sessions, principal.user_id, origin, utc_now())
    authenticator.forget_all()


@router.get("/me/", summary="Show who the token belongs to", responses=documented())
async def me(database: DatabaseDep, principal: PrincipalDep) -> Me:
    """Return the person or program behind the token, and its role."""
    user = None if principal.user_id is None else await database.statement(queries.find_user, principal.user_id)
    return Me(actor=principal.actor, role=principal.role, user=None if user is None else _user_out(user))


@router.patch("/me/", summary="Change the caller's own fields", responses=documented(NoUser, WrongCredentials))
async def change_me(
    wanted: MyChange,
    database: DatabaseDep,
    principal: PrincipalDep,
    origin: OriginDep,
    authenticator: AuthenticatorDep,
) -> UserOut:
    """Change the caller's name, language, time zone or password. A new password ends all sessions."""
    user = None if principal.user_id is None else await database.statement(queries.find_user, principal.user_id)
    if user is None:
        raise NoUser
    if (
        wanted.password is not None
        and user.password_hash is not None
        and not await verify_password(user.password_hash, wanted.present_password or "")
    ):
        raise WrongCredentials
    changes = wanted.model_dump(exclude_unset=True, exclude={"password", "present_password"})
    if wanted.password is not None:
        changes["password_hash"] = await commands.hashed(wanted.password)
    changed = await database.transaction(commands.change, user.id, changes, origin, utc_now())
    authenticator.forget_all()
    return _user_out(changed)


@router.get("/user/", summary="List users", responses=documented())
async def list_users(database: DatabaseDep, limit: Limit = 100, after: After = None) -> UserPage:
    """List the users by ascending id."""
    users = await database.statement(queries.list_users, after=after or 0, limit=limit + 1)
    items = [_user_out(user) for user in users[:limit]]
    return UserPage(items=items, next=items[-1].id if len(users) > limit else None)


@router.post("/user/", status_code=201, summary="Create a user", responses=documented(LoginTaken))
async def create_user(new: UserIn, database: DatabaseDep, origin: OriginDep) -> UserOut:
    """Add a person who may sign in."""
    password_hash = await commands.hashed(new.password)
    return _user_out(await database.transaction(commands.add_user, new, password_hash, origin))


@router.patch("/user/{user_id}/", summary="Change a user", responses=documented(NotFound, LastAdmin))
async def change_user(
    user_id: UserId,
    wanted: UserChange,
    database: DatabaseDep,
    origin: OriginDep,
    authenticator: AuthenticatorDep,
) -> UserOut:
    """Change the given fields; the others keep their values. The last admin stays an admin."""
    changes = wanted.model_dump(exclude_unset=True, exclude_none=True, exclude={"password"})
    if wanted.password is not None:
        changes["password_hash"] = await commands.hashed(wanted.password)
    changed = await database.transaction(commands.change, user_id, changes, origin, utc_now())
    authenticator.forget_all()
    return _user_out(changed)


@router.post(
    "/user/{user_id}/link/", status_code=201, summary="Create a one-time link", responses=documented(NotFound)
)
async def create_link(user_id: UserId, database: DatabaseDep, origin: OriginDep) -> LinkOut:
    """Create a link that signs the user in once, within 15 minutes. Whoever has it is let in."""
    created = await database.transaction(commands.make_link, user_id, origin, utc_now())
    assert created.expires_at is not None, "a link ends"
    return LinkOut(link=created.secret, expires_at=created.expires_at)


@router.get("/token/", summary="List tokens", responses=documented())
async def list_tokens(database: DatabaseDep, limit: Limit = 100, after: After = None) -> TokenPage:
    """List the tokens of programs by ascending id, without their secrets."""
    rows = await database.statement(queries.list_tokens, after=after or 0, limit=limit + 1)
    return TokenPage.model_validate(cut_page(rows, limit))


@router.post("/token/", status_code=201, summary="Create a token", responses=documented())
async def create_token(new: TokenIn, database: DatabaseDep, origin: OriginDep) -> NewTokenOut:
    """Create a token for a program. The answer shows its secret once; only a digest of it is kept."""
    created = await database.transaction(create_program_token, new.name, new.role, new.expires_at, origin)
    return NewTokenOut(
        id=created.id, token=created.secret, name=new.name, role=new.role, expires_at=created.expires_at
    )


@router.delete("/token/{token_id}/", status_code=204, summary="Revoke a token", responses=documented(NotFound))
async def revoke_token(
    token_id: TokenId, database: DatabaseDep, origin: OriginDep, authenticator: AuthenticatorDep
) -> None:
    """Revoke a token. It stops working at once here, and on every other API within five seconds."""
    await database.transaction(commands.revoke, token_id, origin, utc_now())
    authenticator.forget_all()


@router.get("/audit/", summary="List the audit", responses=documented())
async def list_audit(
    database: DatabaseDep,
    actor: _Text = None,
    operation: _Text = None,
    noun: _Text = None,
    noun_id: Annotated[int | None, Query(ge=1, le=INT64_MAX), Digits] = None,
    limit: Limit = 100,
    after: After = None,
) -> AuditPage:
    """List changes, logins and refused attempts, newest first. `noun` and `noun_id` give one thing's history."""
    filters: dict[str, object] = {"actor": actor, "operation": operation, "noun": noun, "noun_id": noun_id}
    rows = await database.statement(queries.list_audit, filters, before_id=after or INT64_MAX, limit=limit + 1)
    return AuditPage.model_validate(cut_page(rows, limit))


def _as(request: sessions.SignIn, actor: str) -> sessions.SignIn:
    """Name who says to sign in, for the audit."""
    return replace(request, origin=replace(request.origin, actor=actor))


def _session_out(session: sessions.Session, request: sessions.SignIn) -> SessionOut:
    assert session.token.expires_at is not None, "a session ends"
    return SessionOut(
        token=session.token.secret,
        expires_at=session.token.expires_at,
        idle_seconds=int(request.terms.idle.total_seconds()),
        failed_logins=session.failed_logins,
        user=_user_out(session.user),
    )


def _user_out(user: UserRow) -> UserOut:
    return UserOut.model_validate(
        {
            "id": user.id,
            "login": user.login,
            "name": user.name,
            "role": user.role,
            "language": user.language,
            "zone": user.zone,
            "disabled": user.disabled_at is not None,
            "created_at": user.created_at,
            "signed_in_at": user.signed_in_at,
        }
    )
