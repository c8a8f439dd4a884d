"""Finds the servers to test on, and empties them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from pydantic import SecretStr

from shared.broker import close, connect
from shared.tables import Table
from shared.topology import PLANNER_QUESTIONS, TIMEOUT, declare


@dataclass(frozen=True, slots=True)
class Servers:
    """Where they are. `database_url` is of a database that a fresh one may be created beside."""

    database_url: str
    broker_url: str


@contextmanager
def found_servers() -> Iterator[Servers]:
    """The servers, started if need be and then stopped at the end."""
    yield Servers(os.environ["MAILING_DATABASE_URL"], os.environ["MAILING_BROKER_URL"])


def empty_tables(database_url: str) -> None:
    """Removes every row. Ids begin anew."""
    names = sql.SQL(", ").join(sql.Identifier(name) for name in sorted(Table.metadata.tables))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))


async def empty_queues(broker_url: str) -> None:
    """Removes what killed processes left in the queues: it speaks of rows that are gone."""
    connection = await connect(SecretStr(broker_url), "tests")
    channel = await connection.channel()
    for name, queue in (await declare(channel)).items():
        await queue.purge(timeout=TIMEOUT)
        if name != PLANNER_QUESTIONS:
            dead = await channel.get_queue(f"{name}.dead", ensure=False)
            await dead.purge(timeout=TIMEOUT)
    await close(connection)
