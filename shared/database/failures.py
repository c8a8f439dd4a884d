"""Classification of PostgreSQL's errors, by SQLSTATE."""

import psycopg
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.errors import DatabaseUnavailable

# Classes of SQLSTATEs, and single ones, with which the server refuses work that it would do at another time.
_UNABLE = {
    "53100": "PostgreSQL's disk is full",
    "53200": "PostgreSQL is out of memory",
    "53400": "PostgreSQL has reached one of its limits",
    "25006": "PostgreSQL is read-only",
    "58030": "PostgreSQL cannot read or write its files",
}


def is_unavailable(error: BaseException) -> bool:
    """Return True if the server cannot be reached; False if it has answered, and refused the statement."""
    if isinstance(error, PoolTimeout | InterfaceError | OSError | DatabaseUnavailable):
        return True
    state = _sqlstate(error)
    # Without a state, the connection is broken. 08: connection errors. 57P: the server stops or starts.
    # 53300: it has too many connections.
    is_operational = isinstance(error, OperationalError | psycopg.OperationalError)
    return (isinstance(error, DBAPIError) and error.connection_invalidated) or (
        is_operational and (not state or state.startswith(("08", "57P")) or state == "53300")
    )


def why_unable(error: BaseException) -> str | None:
    """Return why the server cannot do any such work now, for example because its disk is full; otherwise None."""
    return _UNABLE.get(_sqlstate(error))


def is_refusal(error: BaseException) -> bool:
    """Return True if the server refuses these values for good (SQLSTATE 22: data, 23: constraints)."""
    return _sqlstate(error).startswith(("22", "23"))


def is_conflict(error: BaseException) -> bool:
    """Return True for a deadlock, a serialization failure, a lock timeout, or an end after idling with locks."""
    return _sqlstate(error) in {"40P01", "40001", "55P03", "25P03"}


def is_outdated_schema(error: BaseException) -> bool:
    """Return True if the statement names a table, a column or a type that the database does not have."""
    missing = {"42P01", "42703", "42704"}
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in missing


def driver_reason(error: DBAPIError | psycopg.Error) -> str:
    """Return the driver's reason in one line, without its hints, and without SQLAlchemy's statement and link."""
    lines = str(error.orig if isinstance(error, DBAPIError) else error).splitlines()
    return " ".join(line.strip() for line in lines if line.strip() and not line.startswith("\t"))


def unavailable_reason(error: BaseException) -> str:
    """Return in one line why the server is unavailable: a wrong password is no outage, and looks like one."""
    if isinstance(error, DBAPIError | psycopg.Error):
        return driver_reason(error)
    return str(error) or type(error).__name__


def _sqlstate(error: BaseException) -> str:
    """Return the SQLSTATE, of the driver or below SQLAlchemy; an empty string if there is none."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(cause, "sqlstate", None) or "")
