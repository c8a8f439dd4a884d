"""Secrets and signatures of webhooks, after the Standard Webhooks specification. Pure.

A receiver computes the signature by the same secret, and so knows that the request is ours and was not changed.
The timestamp is signed, too, so that an old request cannot be sent again.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

PREFIX = "whsec_"
LENGTH = 32  # bytes; the specification wants 24 to 64


def new_secret() -> bytes:
    """Return a new random secret."""
    return secrets.token_bytes(LENGTH)


def as_text(secret: bytes) -> str:
    """Return the secret as the receiver gets it."""
    return PREFIX + base64.b64encode(secret).decode()


def sign(event_id: str, timestamp: int, body: bytes, given: Sequence[bytes]) -> dict[str, str]:
    """Return the headers of a signed event, with a signature for each secret.

    During a rotation there are two, and the receiver accepts either.
    """
    content = b".".join((event_id.encode(), str(timestamp).encode(), body))
    signatures = (base64.b64encode(hmac.digest(secret, content, hashlib.sha256)).decode() for secret in given)
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
