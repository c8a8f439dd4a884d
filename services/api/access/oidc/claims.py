"""Claims of a token: what must be true of them before anybody is let in. Pure."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SKEW = timedelta(seconds=60)  # between the provider's clock and ours
MAX_AGE = timedelta(minutes=10)  # of an ID token, which is exchanged at once
NONCE_KEPT = MAX_AGE + 2 * SKEW  # after that, its token is too old
MAX_SUBJECT = 255  # characters, by the specification

Claims = Mapping[str, object]


class TokenRefused(Exception):
    """Raised when a token does not prove what it says. Its text is for the caller."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Demands on a token: who made it, for whom, and which claims it must have besides."""

    issuer: str
    audience: str
    required: Mapping[str, str]  # such as `hd`: the domain of a company at Google


def check_id_token(claims: Claims, expected: Expected, nonce: str, now: datetime) -> None:
    """Raise TokenRefused unless this is a fresh ID token for us, made for the login with this nonce."""
    _check(claims, expected, now)
    audience, party = claims["aud"], claims.get("azp")
    if party is None and isinstance(audience, list) and len(audience) > 1:
        raise TokenRefused("The token is for several audiences, and does not say who asked for it (azp).")
    if party is not None and party != expected.audience:
        raise TokenRefused("Another application asked for the token (azp).")
    if not _instant(claims, "iat") + MAX_AGE + SKEW > now:
        raise TokenRefused("The token is too old to sign in with.")
    given = claims.get("nonce")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), nonce.encode()):
        raise TokenRefused("The token was made for another login (nonce).")


def check_access_token(claims: Claims, expected: Expected, now: datetime) -> datetime:
    """Raise TokenRefused unless this is an access token for this API; return when it expires."""
    _check(claims, expected, now)
    if claims.get("nonce") is not None or claims.get("typ") == "ID":
        raise TokenRefused("This is an ID token. Send an access token.")
    return _instant(claims, "exp")


def _check(claims: Claims, expected: Expected, now: datetime) -> None:
    if claims.get("iss") != expected.issuer:
        raise TokenRefused("The token is of another issuer (iss).")
    audience = claims.get("aud")
    if expected.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenRefused("The token is for another audience (aud).")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise TokenRefused("The token does not say whose it is (sub).")
    if not _instant(claims, "exp") + SKEW > now:
        raise TokenRefused("The token has expired.")
    if not _instant(claims, "iat") <= now + SKEW:
        raise TokenRefused("The token was issued in the future: one of the clocks is wrong.")
    if "nbf" in claims and not _instant(claims, "nbf") <= now + SKEW:
        raise TokenRefused("The token is not valid yet.")
    for name, value in expected.required.items():
        if claims.get(name) != value:
            raise TokenRefused(f"The token does not have the required {name}.")


def _instant(claims: Claims, name: str) -> datetime:
    seconds = claims.get(name)
    try:
        if isinstance(seconds, int | float) and not isinstance(seconds, bool):
            return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        pass
    raise TokenRefused(f"The token has no valid time in {name}.")
