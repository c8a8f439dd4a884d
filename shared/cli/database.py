"""Work of a command on the database: one transaction, with its failures in one line."""

import asyncio
import getpass
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import SecretStr
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database.engine import open_engine
from shared.database.failures import driver_reason
from shared.database.transactions import transaction
from shared.errors import MailingError
from shared.ledger.origin import Origin
from shared.settings import DatabaseSettings, load

Answer = TypeVar("Answer")

FAILED = 1
NO_CONNECTION = 2


class CommandFailed(MailingError):
    """Raised when a command cannot do what it should; its text says why and what to do."""


def run_on_database(
    command: str,
    work: Callable[[AsyncConnection], Awaitable[Answer]],
    show: Callable[[Answer], None],
    url: SecretStr | None = None,
) -> int:
    """Carry out the work in a transaction, show its answer, and return the exit status."""
    try:
        answer = asyncio.run(in_transaction(url or load(DatabaseSettings).database_url, work))
    except DBAPIError as error:
        return _fail(command, f"PostgreSQL refused a statement: {driver_reason(error)}", FAILED)
    except CommandFailed as error:
        return _fail(command, str(error), FAILED)
    except MailingError as error:
        return _fail(command, str(error), NO_CONNECTION)
    show(answer)
    return 0


async def in_transaction(url: SecretStr, work: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer:
    """Carry out the work in a transaction of its own."""
    engine = open_engine(url, "mailing command", connections=1)
    try:
        async with transaction(engine) as connection:
            return await work(connection)
    finally:
        await engine.dispose()


def origin_of(operation: str) -> Origin:
    """Return the origin of a change from the command line, for the audit."""
    return Origin(actor=f"command line: {getpass.getuser()}", operation=operation)


def _fail(command: str, problem: str, status: int) -> int:
    print(f"{command}: {problem}", file=sys.stderr)
    return status
