"""Passwords, hashed by argon2id with the parameters that argon2-cffi recommends (RFC 9106, low memory)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

MIN_LENGTH = 12
MAX_LENGTH = 256  # characters: a longer one would only cost time

# A hash takes about 64 MiB and some 50 ms of a core. More at a time would starve the rest of the process.
_MAX_AT_A_TIME = 2

_hasher = PasswordHasher()
_threads = ThreadPoolExecutor(_MAX_AT_A_TIME, "passwords")


def hash_password(password: str) -> str:
    """Return the hash of a password, with its salt and parameters.

    Raises:
        ValueError: the password is too short or too long.
    """
    if not MIN_LENGTH <= len(password) <= MAX_LENGTH:
        raise ValueError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters, not {len(password)}")
    return _hasher.hash(password)


async def verify_password(password_hash: str | None, password: str) -> bool:
    """Return True if the password belongs to the hash. Without a hash it is False, and takes as long.

    It runs in a thread, because the event loop must not wait for it.
    """
    given = password[: MAX_LENGTH + 1]
    is_right = await asyncio.get_running_loop().run_in_executor(_threads, _verify, password_hash, given)
    return is_right and password_hash is not None


@cache
def _hash_of_nobody() -> str:
    """Return what is verified when a user does not exist or has no password, so that the answer takes as long."""
    return _hasher.hash("nobody has this password")


def _verify(password_hash: str | None, password: str) -> bool:
    try:
        return _hasher.verify(password_hash or _hash_of_nobody(), password)
    except (VerifyMismatchError, InvalidHashError):
        return False
