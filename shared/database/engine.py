"""Engines: pools of connections to PostgreSQL, one engine for each process and use."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

import psycopg
from pydantic import SecretStr
from sqlalchemy import event
from sqlalchemy.engine import AdaptedConnection
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Times after which PostgreSQL ends a statement, a wait for a lock, and a transaction that does nothing.

    A frozen process keeps the locks of its transaction for `idle`.
    """

    statement: timedelta = timedelta(seconds=30)
    lock: timedelta = timedelta(seconds=10)
    idle: timedelta = timedelta(seconds=60)


DEFAULT_TIMEOUTS = Timeouts()


def open_engine(
    url: SecretStr,
    name: str,
    *,
    connections: int = 10,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    autocommit: bool = False,
) -> AsyncEngine:
    """Return an engine. Its connections show `name` in pg_stat_activity. No connection is opened yet.

    An engine with `autocommit` is for single statements, which then need one round trip and not three: see
    `autocommitted`.
    """
    engine = create_async_engine(
        url.get_secret_value(),
        pool_size=connections,
        max_overflow=0,
        pool_timeout=5,
        isolation_level="AUTOCOMMIT" if autocommit else "READ COMMITTED",
        skip_autocommit_rollback=True,
        hide_parameters=True,  # keeps texts and phone numbers out of errors, and so out of logs
        connect_args={
            "connect_timeout": 5,
            "application_name": name[:63],
            "options": f"-c statement_timeout={_milliseconds(timeouts.statement)} -c timezone=UTC"
            f" -c lock_timeout={_milliseconds(timeouts.lock)}"
            f" -c idle_in_transaction_session_timeout={_milliseconds(timeouts.idle)}"
            # The rows that we read were written seconds ago, so they are in memory. With the default of 4,
            # the planner hash-joins a batch of some hundred ids to a scan of all messages: 30 ms instead of 3
            # with 50,000 rows.
            " -c random_page_cost=1.1",
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 20_000,
        },
    )
    event.listen(engine.sync_engine, "checkout", _check_that_open)
    return engine


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)


def _check_that_open(connection: AdaptedConnection, *_: object) -> None:
    """Let the pool open new connections when the server has closed this one, for example at a restart.

    To read the input that has arrived costs a microsecond. SQLAlchemy's pre-ping costs a round trip.
    """
    pgconn = connection.driver_connection.pgconn
    try:
        pgconn.consume_input()  # reads the last message of the server, if there is one
        pgconn.consume_input()  # finds the end of the stream
    except psycopg.OperationalError as error:
        raise InvalidatePoolError from error


def array_of(values: Iterable[int | StrEnum | None]) -> str:
    """Return the values in PostgreSQL's own notation of an array, for a parameter that the statement casts.

    The driver determines the type of each element of a list. With long lists, that took a tenth of the
    planner's time.
    """
    return "{" + ",".join(["NULL" if value is None else str(value) for value in values]) + "}"
