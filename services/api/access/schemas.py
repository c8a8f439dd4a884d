"""Bodies of requests and answers about sessions, users, tokens and the audit."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from services.api.edge.pages import Next
from services.api.edge.texts import refuse_nul
from services.api.edge.zones import Zone
from shared.access.passwords import MAX_LENGTH, MIN_LENGTH
from shared.access.roles import Role

Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(refuse_nul)
]
Login = Annotated[str, StringConstraints(pattern=r"^[\w.@+-]{1,100}$")]
Language = Literal["en", "ru"]
NewPassword = Annotated[str, StringConstraints(min_length=MIN_LENGTH, max_length=MAX_LENGTH)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Credentials(_Body):
    """Login and password of a user."""

    login: Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(refuse_nul)] = Field(
        examples=["anna"]
    )
    password: Annotated[str, StringConstraints(min_length=1, max_length=MAX_LENGTH)] = Field(
        examples=["correct horse battery staple"]
    )


class LinkToken(_Body):
    """Token of a one-time link."""

    link: Annotated[str, StringConstraints(min_length=1, max_length=100)]


class IdToken(_Body):
    """ID token of the identity provider, and the nonce that the login began with."""

    id_token: Annotated[str, StringConstraints(min_length=1, max_length=16_384)]
    nonce: Annotated[str, StringConstraints(min_length=16, max_length=256)] = Field(
        description="The random text that was sent to the provider as `nonce`. It can be used once."
    )


class UserOut(BaseModel):
    """A user."""

    id: int
    login: str
    name: str
    role: Role
    language: Language
    zone: str
    disabled: bool
    created_at: datetime
    signed_in_at: datetime | None


class SessionOut(BaseModel):
    """A new session. Its token is shown once."""

    token: str = Field(description="Send it as `Authorization: Bearer <token>`.")
    expires_at: datetime
    idle_seconds: int = Field(description="The session ends early if it is not used for so long.")
    failed_logins: int = Field(description="Number of failed logins of this account before this one.")
    user: UserOut


class Me(BaseModel):
    """The person or program behind the token. `user` is null for a program."""

    actor: str
    role: Role
    user: UserOut | None


class MyChange(_Body):
    """New values of the caller's own fields. Fields that are left out keep their values."""

    name: Name | None = None
    language: Language | None = None
    zone: Zone | None = None
    password: NewPassword | None = None
    present_password: str | None = Field(
        default=None, max_length=MAX_LENGTH, description="Required for a new password, if there is one already."
    )


class UserIn(_Body):
    """A new user. Without a password, the user signs in by a one-time link or an identity provider."""

    login: Login = Field(examples=["anna"])
    name: Name = Field(examples=["Anna Ivanova"])
    role: Role
    language: Language = "en"
    zone: Zone = "UTC"
    password: NewPassword | None = None


class UserChange(_Body):
    """New values of a user's fields. Fields that are left out keep their values."""

    name: Name | None = None
    role: Role | None = None
    language: Language | None = None
    zone: Zone | None = None
    password: NewPassword | None = None
    disabled: bool | None = Field(default=None, description="A disabled user is signed out at once.")


class LinkOut(BaseModel):
    """A one-time link. Its token is shown once."""

    link: str = Field(
        description="Exchange it at `/api/session/link/`, or open `/sign-in/link/<link>` of the console."
    )
    expires_at: datetime


class UserPage(BaseModel):
    """Users by ascending id."""

    items: list[UserOut]
    next: Next


class TokenIn(_Body):
    """A new token for a program."""

    name: Name = Field(examples=["shop backend"])
    role: Role
    expires_at: AwareDatetime | None = Field(default=None, description="Null: until it is revoked.")


class TokenOut(BaseModel):
    """A token without its secret."""

    id: int
    name: str
    role: Role
    hint: str = Field(description="The last four characters of the secret.")
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None = Field(description="Last use, to the minute.")
    revoked_at: datetime | None


class NewTokenOut(BaseModel):
    """A new token with its secret, which is shown once."""

    id: int
    token: str
    name: str
    role: Role
    expires_at: datetime | None


class TokenPage(BaseModel):
    """Tokens by ascending id."""

    items: list[TokenOut]
    next: Next


class AuditEntryOut(BaseModel):
    """A change, a login or a refused attempt. `before` and `after` hold the fields that changed."""

    id: int
    at: datetime
    actor: str
    token_id: int | None
    user_id: int | None
    address: str | None
    request_id: str | None
    operation: str = Field(examples=["mailing.pause"])
    refused: bool
    noun: str | None = Field(examples=["mailing"])
    noun_id: int | None
    before: dict[str, object] | None
    after: dict[str, object] | None


class AuditPage(BaseModel):
    """Audit entries, newest first."""

    items: list[AuditEntryOut]
    next: Next
