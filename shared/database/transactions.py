"""Transactions, and single statements in autocommit, with the errors that a caller can handle."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.failures import is_conflict, is_unavailable, unavailable_reason
from shared.errors import DatabaseUnavailable, TransactionConflict

_AFTER_COMMIT = "after_commit"


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a transaction, and commit it at the end of the block.

    Raises:
        DatabaseUnavailable: the server is away, or all connections are in use. A commit that was on its way
        may
            have taken effect.
        TransactionConflict: it was rolled back in favour of another one.
    """
    callbacks: list[Callable[[], None]] = []
    with _translate_errors():
        async with engine.begin() as connection:
            connection.info[_AFTER_COMMIT] = callbacks
            yield connection
    for callback in callbacks:
        callback()


def after_commit(connection: AsyncConnection, callback: Callable[[], None]) -> None:
    """Call the callback when the `transaction` of this connection is committed. The callback must not fail."""
    connection.info[_AFTER_COMMIT].append(callback)


@asynccontextmanager
async def autocommitted(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a connection of an engine with `autocommit`: each statement is a transaction of its own.

    Raises:
        DatabaseUnavailable: the server is away, or all connections are in use. A statement that was on its
        way may
            have taken effect.
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
            raise DatabaseUnavailable("PostgreSQL cannot be reached", unavailable_reason(error)) from error
        if is_conflict(error):
            raise TransactionConflict("PostgreSQL rolled the transaction back in favour of another") from error
        raise


async def ping(engine: AsyncEngine) -> None:
    """Run a statement that does nothing. Raises DatabaseUnavailable if the database does not answer."""
    async with transaction(engine) as connection:
        await connection.execute(text("SELECT 1"))
