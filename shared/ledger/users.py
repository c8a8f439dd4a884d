"""Every statement that writes the table `users`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.access.roles import Role
from shared.errors import MailingError

USER_COLUMNS = (
    "id, login, name, role, language, zone, password_hash, subject, disabled_at, created_at, signed_in_at"
)

_CREATE_USER = text(f"""
    -- create_user --
    INSERT INTO users (login, name, role, language, zone, password_hash, issuer, subject)
    VALUES (:login, :name, CAST(:role AS role), :language, :zone, :password_hash, CAST(:issuer AS text),
        CAST(:subject AS text))
    RETURNING {USER_COLUMNS}
""")  # noqa: S608 - the names are ours

_CHANGE_USER = text(f"""
    -- change_user --
    UPDATE users SET
        name = coalesce(:name, name), role = coalesce(CAST(:role AS role), role),
        language = coalesce(:language, language), zone = coalesce(:zone, zone),
        password_hash = coalesce(:password_hash, password_hash),
        disabled_at = CASE WHEN CAST(:disabled AS boolean) IS NULL THEN disabled_at
                           WHEN :disabled THEN coalesce(disabled_at, now()) END
    WHERE id = :user_id
    RETURNING {USER_COLUMNS}
""")  # noqa: S608 - the names are ours

_LINK_SUBJECT = text(f"""
    -- link_subject --
    UPDATE users SET issuer = :issuer, subject = :subject WHERE id = :user_id AND subject IS NULL
    RETURNING {USER_COLUMNS}
""")  # noqa: S608 - the names are ours

_NOTE_SIGN_IN = text("""
    -- note_sign_in --
    UPDATE users SET signed_in_at = :now WHERE id = :user_id
""")

# Locks the admins, so that two of them cannot remove each other at the same instant.
_LOCK_ADMINS = text("""
    -- lock_admins --
    SELECT id FROM users WHERE role = 'admin' AND disabled_at IS NULL ORDER BY id FOR UPDATE
""")


class LoginExists(MailingError):
    """Another user has this login."""

    def __init__(self, login: str) -> None:
        super().__init__(f"Another user has the login {login!r}.")


@dataclass(frozen=True, slots=True)
class NewUser:
    """Columns of a user to create."""

    login: str
    name: str
    role: Role
    language: str = "en"
    zone: str = "UTC"
    password_hash: str | None = None
    issuer: str | None = None  # of the identity provider that knows the user as `subject`
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class UserRow:
    """A user as the table has it."""

    id: int
    login: str
    name: str
    role: Role
    language: str
    zone: str
    password_hash: str | None
    subject: str | None  # by which an identity provider knows the user
    disabled_at: datetime | None
    created_at: datetime
    signed_in_at: datetime | None

    @classmethod
    def from_row(cls, row: Row[Any]) -> "UserRow":
        """Return the user of a row that has these columns."""
        return cls(
            id=row.id,
            login=row.login,
            name=row.name,
            role=Role(row.role),
            language=row.language,
            zone=row.zone,
            password_hash=row.password_hash,
            subject=row.subject,
            disabled_at=row.disabled_at,
            created_at=row.created_at,
            signed_in_at=row.signed_in_at,
        )


async def create_user(connection: AsyncConnection, new: NewUser) -> UserRow:
    """Create a user.

    Raises:
        LoginExists: another user has the login, whatever its capital letters, or the subject.
    """
    parameters = {
        "login": new.login,
        "name": new.name,
        "role": new.role,
        "language": new.language,
        "zone": new.zone,
        "password_hash": new.password_hash,
        "issuer": new.issuer,
        "subject": new.subject,
    }
    try:
        created = (await connection.execute(_CREATE_USER, parameters)).one()
    except IntegrityError as error:
        raise LoginExists(new.login) from error
    return UserRow.from_row(created)


async def change_user(connection: AsyncConnection, user_id: int, changes: Mapping[str, object]) -> UserRow | None:
    """Change name, role, language, zone, password_hash or disabled; None if there is no such user."""
    columns = ("name", "role", "language", "zone", "password_hash", "disabled")
    parameters = {name: changes.get(name) for name in columns} | {"user_id": user_id}
    row = (await connection.execute(_CHANGE_USER, parameters)).one_or_none()
    return None if row is None else UserRow.from_row(row)


async def link_subject(connection: AsyncConnection, user_id: int, issuer: str, subject: str) -> UserRow | None:
    """Let the user sign in as this subject of an identity provider; None if the user has another subject."""
    parameters = {"user_id": user_id, "issuer": issuer, "subject": subject}
    row = (await connection.execute(_LINK_SUBJECT, parameters)).one_or_none()
    return None if row is None else UserRow.from_row(row)


async def note_sign_in(connection: AsyncConnection, user_id: int, now: datetime) -> None:
    """Note when the user signed in."""
    await connection.execute(_NOTE_SIGN_IN, {"user_id": user_id, "now": now})


async def lock_admins(connection: AsyncConnection) -> set[int]:
    """Lock the admins that are not disabled, and return their ids."""
    return set((await connection.execute(_LOCK_ADMINS)).scalars())
