"""Tables of access: users, tokens, failed logins, and the audit of every change."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, LargeBinary, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from shared.access.roles import Role
from shared.ledger.tables import Table, enum_column


class TokenKind(StrEnum):
    """Use of a token."""

    API = "api"  # of a program, for as long as an admin decides
    SESSION = "session"  # of a signed-in user; it ends early when it is not used
    LINK = "link"  # of a one-time link: exchanged once for a session


class User(Table):
    """A person who may sign in."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("char_length(login) BETWEEN 1 AND 100", name="login_length"),
        Index("users_login", func.lower(text("login")), unique=True),
        Index("users_subject", "issuer", "subject", unique=True, postgresql_where=text("subject IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    login: Mapped[str]
    name: Mapped[str]
    role: Mapped[Role] = mapped_column(enum_column(Role, "role"))
    language: Mapped[str] = mapped_column(server_default="en")
    zone: Mapped[str] = mapped_column(server_default="UTC")
    password_hash: Mapped[str | None]  # none: signs in by a link, or by an identity provider
    issuer: Mapped[str | None]  # of the identity provider that knows the user as `subject`
    subject: Mapped[str | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    signed_in_at: Mapped[datetime | None]


class AccessToken(Table):
    """A token that opens the API. Only its digest is kept."""

    __tablename__ = "tokens"
    __table_args__ = (
        Index("tokens_digest", "digest", unique=True),
        Index("tokens_user", "user_id", postgresql_where=text("user_id IS NOT NULL")),
        Index("tokens_expiry", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    kind: Mapped[TokenKind] = mapped_column(enum_column(TokenKind, "token_kind"))
    digest: Mapped[bytes] = mapped_column(LargeBinary)
    hint: Mapped[str]  # its last characters
    name: Mapped[str]
    role: Mapped[Role | None] = mapped_column(enum_column(Role, "role"))  # none: the present role of its user
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    idle_seconds: Mapped[int | None] = mapped_column(Integer)  # ends when it was not used for so long
    used_at: Mapped[datetime | None]  # to the minute
    revoked_at: Mapped[datetime | None]


class LoginFailures(Table):
    """Failed logins in a row, of one account or from one address."""

    __tablename__ = "login_failures"

    key: Mapped[str] = mapped_column(primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    last_at: Mapped[datetime]


class SpentNonce(Table):
    """A nonce with which somebody has signed in by an identity provider. It must not be used again."""

    __tablename__ = "spent_nonces"

    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    spent_at: Mapped[datetime]


class AuditEntry(Table):
    """A change, a login or a refused attempt: who did what to which thing, when, and from where.

    `before` and `after` hold the columns that changed. They hold no texts of single messages, and masked numbers.
    """

    __tablename__ = "audit"
    __table_args__ = (
        Index("audit_noun", "noun", "noun_id", "id"),
        Index("audit_actor", "actor", "id"),
        Index("audit_at", "at"),
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=func.now())
    actor: Mapped[str]
    token_id: Mapped[int | None]
    user_id: Mapped[int | None]
    address: Mapped[str | None]
    request_id: Mapped[str | None]
    operation: Mapped[str]  # such as mailing.pause
    refused: Mapped[bool] = mapped_column(server_default="false")
    noun: Mapped[str | None]
    noun_id: Mapped[int | None]
    before: Mapped[dict[str, object] | None] = mapped_column(JSONB)
    after: Mapped[dict[str, object] | None] = mapped_column(JSONB)
