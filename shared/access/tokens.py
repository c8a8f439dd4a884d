"""Tokens: random secrets that a secret scanner recognises, and of which only a digest is kept.

A token is `mailing_`, 32 random letters and digits (190 bits), and six more that are a checksum of the rest. So a
mistyped token is refused without a look at the database, and a scanner knows a real token from a similar word.
"""

import hashlib
import secrets
import string
import zlib

PREFIX = "mailing_"
_ALPHABET = string.digits + string.ascii_letters
_RANDOM_LENGTH = 32
_CHECKSUM_LENGTH = 6
TOKEN_LENGTH = len(PREFIX) + _RANDOM_LENGTH + _CHECKSUM_LENGTH


def new_token() -> str:
    """Return a new random token."""
    unsigned = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return unsigned + _checksum(unsigned)


def is_token(text: str) -> bool:
    """Return True if the text has the form of a token and the right checksum."""
    if len(text) != TOKEN_LENGTH or not text.startswith(PREFIX) or not text.isascii():
        return False
    unsigned, checksum = text[:-_CHECKSUM_LENGTH], text[-_CHECKSUM_LENGTH:]
    return checksum == _checksum(unsigned)


def digest_of(token: str) -> bytes:
    """Return the SHA-256 digest under which the token is kept.

    A token has 190 random bits, so nobody can guess it from a fast digest. Passwords need a slow one.
    """
    return hashlib.sha256(token.encode()).digest()


def hint_of(token: str) -> str:
    """Return the part of a token by which people tell their tokens apart: its last four characters."""
    return token[-4:]


def _checksum(unsigned: str) -> str:
    number, digits = zlib.crc32(unsigned.encode()), ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
