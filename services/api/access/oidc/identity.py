"""Identity: the person or program that a verified token speaks of, with the role that its groups give. Pure."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from services.api.access.oidc.claims import Claims
from shared.access.roles import Role

_LOGIN = re.compile(r"[\w.@+-]{1,100}")
_MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class RoleMapping:
    """Rule by which groups or roles of a claim become roles of ours."""

    claim: str  # `groups`, or a path such as `realm_access.roles`
    roles: Mapping[str, Role]
    default: Role | None  # of whoever has none of these groups; None: no role

    @property
    def decides(self) -> bool:
        """True if the provider gives the roles. Otherwise our own table of users does."""
        return bool(self.roles) or self.default is not None

    def role_of(self, claims: Claims) -> Role | None:
        """Return the highest role that the groups of the claim give."""
        given = [self.roles[group] for group in _groups(claims, self.claim) if group in self.roles]
        order = list(Role)
        return max(given, key=order.index) if given else self.default


@dataclass(frozen=True, slots=True)
class Identity:
    """Person whom the issuer knows as `subject`."""

    issuer: str
    subject: str
    login: str
    name: str
    language: str
    verified_email: str | None
    role: Role | None


def identity_of(claims: Claims, mapping: RoleMapping) -> Identity:
    """Return the person of a verified ID token."""
    issuer, subject = str(claims["iss"]), str(claims["sub"])
    email = _text(claims, "email")
    login = _login(_text(claims, "preferred_username"), email, subject)
    return Identity(
        issuer=issuer,
        subject=subject,
        login=login,
        name=(_text(claims, "name") or login)[:_MAX_NAME],
        language="ru" if (_text(claims, "locale") or "").lower().startswith("ru") else "en",
        verified_email=email if claims.get("email_verified") is True else None,
        role=mapping.role_of(claims),
    )


def program_of(claims: Claims) -> str:
    """Return the name of the program that an access token was issued to."""
    return (_text(claims, "client_id") or _text(claims, "azp") or str(claims["sub"]))[:_MAX_NAME]


def _login(*wanted: str | None) -> str:
    for login in wanted:
        if login is not None and _LOGIN.fullmatch(login):
            return login
    return "user-" + hashlib.sha256(str(wanted[-1]).encode()).hexdigest()[:16]


def _text(claims: Claims, name: str) -> str | None:
    value = claims.get(name)
    if not isinstance(value, str):
        return None
    return "".join(character for character in value if character.isprintable()).strip() or None


def _groups(claims: Claims, claim: str) -> list[str]:
    """Return the texts of the claim. Its name may contain dots itself, so the whole name is looked for first."""
    value: object = claims.get(claim)
    if value is None:
        value = claims
        for part in claim.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
    values = value if isinstance(value, list) else [value]
    return [group for group in values if isinstance(group, str)]
