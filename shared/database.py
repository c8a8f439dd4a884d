"""The way to PostgreSQL: one engine per process, bounded in connections and in every wait."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from enum import StrEnum

import psycopg
from pydantic import SecretStr
from sqlalchemy import event, text
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.exc import DBAPIError, InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from shared.errors import DatabaseUnavailable, TransactionConflict

_AFTER_COMMIT = "after_commit"


def open_engine(
    url: SecretStr,
    name: str,
    *,
    connections: int = 10,
    statement_timeout: timedelta = timedelta(seconds=30),
    autocommit: bool = False,
) -> AsyncEngine:
    """An engine whose connections carry `name` in pg_stat_activity; opens nothing yet.

    `autocommit`: for single statements, which then need one round trip and not three; see `autocommitted`.
    """
    milliseconds = int(statement_timeout.total_seconds() * 1000)
    engine = create_async_engine(
        url.get_secret_value(),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5,
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
        skip_autocommit_rollback=True,
        hide_parameters=True,  # texts and phone numbers have no place in errors, and so in logs
        connect_args={
            "connect_timeout": 5,
            "application_name": name[:63],
            "options": f"-c statement_timeout={milliseconds} -c lock_timeout=10000 -c timezone=UTC"
            " -c idle_in_transaction_session_timeout=60000"
            # What is looked up was written seconds ago, so it is in memory. At the default of 4, a batch of some
            # hundred ids is hash-joined to a scan of all messages: 30 ms instead of 3 at 50,000 rows.
            " -c random_page_cost=1.1",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    event.listen(engine.sync_engine, "checkout", _check_that_open)
    return engine


def _check_that_open(connection: AdaptedConnection, *_: object) -> None:
    """Lets the pool open new connections when the server has closed this one: at a restart, say.

    A look at what has come in costs a microsecond, where SQLAlchemy's pre-ping costs a round trip.
    """
    pgconn = connection.driver_connection.pgconn
    try:
        pgconn.consume_input()  # may only find the server's last words,
        pgconn.consume_input()  # and then the end of the stream
    except psycopg.OperationalError as error:
        raise InvalidatePoolError from error


def is_unavailable(error: BaseException) -> bool:
    """Whether the server is away (as opposed to: it answered, and refused this statement)."""
    if isinstance(error, PoolTimeout | InterfaceError | OSError | DatabaseUnavailable):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    # No state: the connection broke. 08: connection errors; 57P: it stops or starts; 53300: it is full.
    return error.connection_invalidated or (
        isinstance(error, OperationalError)
        and (state is None or state.startswith(("08", "57P")) or state == "53300")
    )


def is_refusal(error: BaseException) -> bool:
    """Whether the server refused these very values (SQLSTATE 22: data, 23: constraints), and always will."""
    return isinstance(error, DBAPIError) and str(getattr(error.orig, "sqlstate", "")).startswith(("22", "23"))


def _is_victim(error: BaseException) -> bool:
    """Of a deadlock, or of a lock that was not to be had in time."""
    victims = {"40P01", "40001", "55P03"}
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in victims


@asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A transaction that is committed at the end of the block.

    Raises:
        DatabaseUnavailable: the server is away, and whether a commit on its way took effect is unknown; or all
            connections are in use.
        TransactionConflict: it gave way to another, and nothing of it took effect.
    """
    told: list[Callable[[], None]] = []
    with _telling_unavailable():
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
    with _telling_unavailable():
        async with engine.connect() as connection:
            yield connection


@contextmanager
def _telling_unavailable() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if isinstance(error, DatabaseUnavailable):
            raise
        if isinstance(error, PoolTimeout):
            raise DatabaseUnavailable("All connections to PostgreSQL are in use") from error
        if is_unavailable(error):
            raise DatabaseUnavailable("PostgreSQL cannot be reached") from error
        if _is_victim(error):
            raise TransactionConflict("PostgreSQL undid the transaction in favour of another") from error
        raise


def array_of(values: Iterable[int | StrEnum | None]) -> str:
    """The values as PostgreSQL writes an array, for a parameter that the statement casts.

    The driver's own way with lists looks at each element anew: a tenth of the planner's time, when they are long.
    """
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"


async def ping(engine: AsyncEngine) -> None:
    """Raises DatabaseUnavailable unless the database answers."""
    async with transaction(engine) as connection:
        await connection.execute(text("SELECT 1"))
