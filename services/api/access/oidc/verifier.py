"""Verification of signed tokens: the signature by a key of the issuer, then the claims."""

from datetime import datetime

from joserfc import jws, jwt
from joserfc.errors import JoseError

from services.api.access.oidc.claims import Claims, Expected, TokenRefused, check_access_token, check_id_token
from services.api.access.oidc.keys import Keys

# Asymmetric ones only. A token can choose neither `none` nor HS256, whose key would be the public one.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512")
MAX_LENGTH = 16 * 1024  # characters of a token


class Verifier:
    """Verifies tokens of one issuer."""

    def __init__(self, keys: Keys, id_tokens: Expected, access_tokens: Expected | None) -> None:
        self._keys = keys
        self._id_tokens = id_tokens
        self._access_tokens = access_tokens

    @property
    def takes_access_tokens(self) -> bool:
        """True if programs may send access tokens of the issuer."""
        return self._access_tokens is not None

    async def verify_id_token(self, token: str, nonce: str, now: datetime) -> Claims:
        """Return the claims of an ID token. Raises TokenRefused or IssuerUnavailable."""
        claims = await self._verify_signature(token)
        check_id_token(claims, self._id_tokens, nonce, now)
        return claims

    async def verify_access_token(self, token: str, now: datetime) -> tuple[Claims, datetime]:
        """Return the claims of an access token, and when it expires. Raises TokenRefused or IssuerUnavailable."""
        if self._access_tokens is None:
            raise TokenRefused("Access tokens of an identity provider are not accepted here.")
        claims = await self._verify_signature(token)
        return claims, check_access_token(claims, self._access_tokens, now)

    async def _verify_signature(self, token: str) -> Claims:
        if len(token) > MAX_LENGTH or not token.isascii():
            raise TokenRefused("This is not a signed token.")
        try:
            header = jws.extract_compact(token.encode()).headers()
        except (JoseError, ValueError, TypeError) as error:
            raise TokenRefused("This is not a signed token.") from error
        if header.get("alg") not in ALGORITHMS:
            raise TokenRefused("The token is not signed by an accepted algorithm.")
        key_id = header.get("kid")
        if key_id is not None and not isinstance(key_id, str):
            raise TokenRefused("The token is signed by an unknown key.")
        key = await self._keys.find(key_id)
        if key is None:
            raise TokenRefused("The token is signed by an unknown key.")
        try:
            return jwt.decode(token, key, algorithms=ALGORITHMS).claims
        except (JoseError, ValueError, TypeError) as error:
            raise TokenRefused("The token's signature is not valid.") from error
