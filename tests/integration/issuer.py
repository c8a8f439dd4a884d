"""Identity provider for tests: it publishes keys over HTTP, and signs whatever a test wants."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from shared.contracts import utc_now

CLIENT_ID = "console"
AUDIENCE = "mailing-api"
NONCE = "n-0S6_WzA2Mj-8hQ4xKz"


def encoded(part: Mapping[str, object]) -> str:
    """Return a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


class ForgingIssuer:
    """An issuer with keys that rotate, and tokens that may be wrong."""

    def __init__(self) -> None:
        self.key = self._new_key("first")
        self.published = [self.key]
        self.is_away = False
        self.fetches = 0
        self.url = ""

    @staticmethod
    def _new_key(key_id: str) -> RSAKey:
        return RSAKey.generate_key(2048, {"kid": key_id})

    def rotate(self, key_id: str) -> None:
        """Sign with a new key from now on, and publish no other."""
        self.key = self._new_key(key_id)
        self.published = [self.key]

    def claims(self, **changes: object) -> dict[str, object]:
        """Return the claims of a good ID token with changes; None removes one."""
        now = utc_now()
        claims = {
            "iss": self.url,
            "aud": CLIENT_ID,
            "sub": "7f3c",
            "nonce": NONCE,
            "iat": now.timestamp(),
            "exp": (now + timedelta(minutes=5)).timestamp(),
            "preferred_username": "anna",
            "name": "Anna Ivanova",
            "groups": ["staff", "mailing-operators"],
        } | changes
        return {name: value for name, value in claims.items() if value is not None}

    def sign(self, claims: Mapping[str, object], key: RSAKey | None = None, algorithm: str = "RS256") -> str:
        """Return a token that is signed by the present key, or by another one."""
        key = key or self.key
        header = {"alg": algorithm, "kid": key.kid}
        return jwt.encode(header, dict(claims), key, algorithms=[algorithm])

    def id_token(self, **changes: object) -> str:
        return self.sign(self.claims(**changes))

    def signed_with_the_public_key(self) -> str:
        """Return a token whose HMAC key is the public key, which everybody knows."""
        signed = f"{encoded({'alg': 'HS256', 'kid': self.key.kid})}.{encoded(self.claims())}"
        code = hmac.digest(self.key.as_pem(private=False), signed.encode(), "sha256")
        return f"{signed}.{base64.urlsafe_b64encode(code).decode().rstrip('=')}"

    def unsigned(self) -> str:
        """Return a token that says that it needs no signature."""
        return f"{encoded({'alg': 'none', 'kid': self.key.kid})}.{encoded(self.claims())}."

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        line = await reader.readline()
        while (await reader.readline()).strip():
            pass
        body: dict[str, Any]
        if b"/keys" in line:
            self.fetches += 1
            body = {"keys": [key.as_dict(private=False, use="sig") for key in self.published]}
        else:
            body = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"} | {
                f"{name}_endpoint": f"{self.url}/{name}" for name in ("authorization", "token")
            }
        content = json.dumps(body).encode()
        status = b"503 Away" if self.is_away else b"200 OK"
        writer.write(b"HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % (status, len(content)))
        writer.write(content)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def forging_issuer() -> AsyncIterator[ForgingIssuer]:
    """Yield an issuer that listens on loopback."""
    issuer = ForgingIssuer()
    server = await asyncio.start_server(issuer.answer, "127.0.0.1", 0)
    issuer.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield issuer
