"""Finds the servers to test on."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they are. `database_url` is of a database that a fresh one may be created beside."""

    database_url: str
    broker_url: str


@contextmanager
def found_servers() -> Iterator[Servers]:
    """The servers, started if need be and then stopped at the end."""
    yield Servers(os.environ["MAILING_DATABASE_URL"], os.environ["MAILING_BROKER_URL"])
