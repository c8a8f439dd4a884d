"""Delay of logins after failures: the first ones cost nothing, then each doubles the wait. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

FREE_FAILURES_OF_ACCOUNT = 5
FREE_FAILURES_OF_ADDRESS = 50  # many people may share an address
MAX_DELAY = timedelta(minutes=15)
_FIRST_DELAY = timedelta(seconds=1)
_MAX_DOUBLINGS = 20

_ACCOUNT, _ADDRESS = "account:", "address:"


class Failures(NamedTuple):
    """Failed logins in a row, and the last of them."""

    failures: int
    last_at: datetime


def keys_of(login: str, address: str | None) -> list[str]:
    """Return the keys under which failed logins are counted."""
    return [key_of_account(login), *keys_of_address(address)]


def key_of_account(login: str) -> str:
    """Return the key of an account."""
    return f"{_ACCOUNT}{login.casefold()}"


def keys_of_address(address: str | None) -> list[str]:
    """Return the key of an address; none if it is not known."""
    return [] if address is None else [f"{_ADDRESS}{address}"]


def wait_until_allowed(failures: Mapping[str, Failures], now: datetime) -> timedelta:
    """Return how long a login with these failures must wait; zero if it may be tried now."""
    delays = ((found.last_at, _delay(key, found.failures)) for key, found in failures.items())
    # A login at the same instant may have a later `last_at`. Without a delay, it is no reason to wait.
    return max((timedelta(0), *(last_at + delay - now for last_at, delay in delays if delay)))


def _delay(key: str, failures: int) -> timedelta:
    free = FREE_FAILURES_OF_ACCOUNT if key.startswith(_ACCOUNT) else FREE_FAILURES_OF_ADDRESS
    if failures < free:
        return timedelta(0)
    doubled: timedelta = _FIRST_DELAY * 2 ** min(failures - free, _MAX_DOUBLINGS)
    return min(MAX_DELAY, doubled)
