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
    keys = [f"{_ACCOUNT}{login.casefold()}"]
    return keys if address is None else [*keys, f"{_ADDRESS}{address}"]


def wait_until_allowed(failures: Mapping[str, Failures], now: datetime) -> timedelta:
    """Return how long a login with these failures must wait; zero if it may be tried now."""
    waits = (found.last_at + _delay(key, found.failures) - now for key, found in failures.items())
    return max(timedelta(0), *waits)


def _delay(key: str, failures: int) -> timedelta:
    free = FREE_FAILURES_OF_ACCOUNT if key.startswith(_ACCOUNT) else FREE_FAILURES_OF_ADDRESS
    if failures < free:
        return timedelta(0)
    doubled: timedelta = _FIRST_DELAY * 2 ** min(failures - free, _MAX_DOUBLINGS)
    return min(MAX_DELAY, doubled)
