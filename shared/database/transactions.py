"""Transactions, and single statements in autocommit, with the errors that a caller can handle."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.failures import is_conflict, is_unavailable
from shared.errors import DatabaseUnavailable, TransactionConflict

_AFTER_COMMIT = "after_commit"


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that is committed at the end of the block.

    Raises:
        DatabaseUnavailable: the server is away, and whether a commit on its way took effect is unknown; or all
            connections are in use.
        TransactionConflict: it gave way to another, and nothing of it took effect.
    """
    told: list[Callable[[], None]] = []
    with _translate_errors():
        async with engine.begin() as connection:
            connection.info[_AFTER_COMMIT] = told
            yield connection
    for tell in told:
        tell()


def after_commit(connection: AsyncConnection, tell: Callable[[], None]) -> None:
    """Calls `tell`, which must not fail, when the `transaction` of this connection is committed, and only then."""
    connection.info[_AFTER_COMMIT].append(tell)


@asynccontextmanager
async def autocommitted(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection of an engine with `autocommit`: each statement is a transaction of its own.

    Raises:
        DatabaseUnavailable: the server is away, and whether a statement on its way took effect is unknown; or all
            connections are in use.
    """
    with _translate_errors():
        async with engine.connect() as connection:
            yield connection


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, DatabaseUnavailable):
            raise
        if isinstance(error, PoolTimeout):
            raise DatabaseUnavailable("All connections to PostgreSQL are in use") from error
        if is_unavailable(error):
            raise DatabaseUnavailable("PostgreSQL cannot be reached") from error
        if is_conflict(error):
            raise TransactionConflict("PostgreSQL undid the transaction in favour of another") from error
        raise


async def ping(engine: AsyncEngine) -> None:
    """Raises DatabaseUnavailable unless the database answers."""
    async with transaction(engine) as connection:
        await connection.execute(text("SELECT 1"))
