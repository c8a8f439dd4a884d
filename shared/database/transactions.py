"""Transactions, and single statements in autocommit, with the errors that a caller can handle."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.database.failures import (
    is_conflict,
    is_outdated_schema,
    is_unavailable,
    unavailable_reason,
    why_unable,
)
from shared.errors import DatabaseUnavailable, SchemaOutdated, TransactionConflict

OUTDATED = "The database has not the schema of this version: run `mailing migrate`"
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


async def allow_idling(connection: AsyncConnection, duration: timedelta) -> None:
    """Let this transaction wait for something else than PostgreSQL, for longer than its engine allows."""
    milliseconds = int(duration / timedelta(milliseconds=1))
    await connection.execute(text(f"SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"))


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


@asynccontextmanager
async def dedicated_connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Open a connection for several transactions, each by `transaction_on`, and close it at the end of the block.

    Its temporary tables and advisory locks end with it, so they are never seen by another user of the pool.

    Raises:
        DatabaseUnavailable: the server is away, or all connections are in use.
    """
    with _translate_errors():
        async with engine.connect() as connection:
            try:
                yield connection
            finally:
                await connection.invalidate()


@asynccontextmanager
async def transaction_on(connection: AsyncConnection) -> AsyncIterator[None]:
    """Open a transaction on a dedicated connection, and commit it at the end of the block.

    Raises:
        DatabaseUnavailable, TransactionConflict: as `transaction` does.
    """
    with _translate_errors():
        async with connection.begin():
            yield


@contextmanager
def _translate_errors() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, DatabaseUnavailable):
            raise
        if isinstance(error, PoolTimeout):
            raise DatabaseUnavailable("All connections to PostgreSQL are in use") from error
        # First, because an end after idling with locks also ends the connection.
        if is_outdated_schema(error):
            raise SchemaOutdated(OUTDATED, f"{OUTDATED}: {unavailable_reason(error)}") from error
        if is_conflict(error):
            raise TransactionConflict("PostgreSQL rolled the transaction back in favour of another") from error
        if is_unavailable(error):
            raise DatabaseUnavailable("PostgreSQL cannot be reached", unavailable_reason(error)) from error
        if (why := why_unable(error)) is not None:
            raise DatabaseUnavailable(why, unavailable_reason(error)) from error
        raise


async def ping(engine: AsyncEngine) -> None:
    """Run a statement that does nothing. Raises DatabaseUnavailable if the database does not answer."""
    async with transaction(engine) as connection:
        await connection.execute(text("SELECT 1"))
