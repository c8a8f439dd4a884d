"""Classification of PostgreSQL's errors, by SQLSTATE."""

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shared.errors import DatabaseUnavailable


def is_unavailable(error: BaseException) -> bool:
    """Return True if the server cannot be reached; False if it has answered, and refused the statement."""
    if isinstance(error, PoolTimeout | InterfaceError | OSError | DatabaseUnavailable):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    # Without a state, the connection is broken. 08: connection errors. 57P: the server stops or starts.
    # 53300: it has too many connections.
    return error.connection_invalidated or (
        isinstance(error, OperationalError)
        and (state is None or state.startswith(("08", "57P")) or state == "53300")
    )


def is_refusal(error: BaseException) -> bool:
    """Return True if the server refuses these values for good (SQLSTATE 22: data, 23: constraints)."""
    return isinstance(error, DBAPIError) and str(getattr(error.orig, "sqlstate", "")).startswith(("22", "23"))


def is_conflict(error: BaseException) -> bool:
    """Return True for a deadlock, a serialization failure or a lock timeout."""
    victims = {"40P01", "40001", "55P03"}
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) in victims


def driver_reason(error: DBAPIError) -> str:
    """Return the driver's reason in one line, without its hints, and without SQLAlchemy's statement and link."""
    lines = str(error.orig).splitlines()
    return " ".join(line.strip() for line in lines if line.strip() and not line.startswith("\t"))


def unavailable_reason(error: BaseException) -> str:
    """Return in one line why the server is unavailable: a wrong password is no outage, and looks like one."""
    return driver_reason(error) if isinstance(error, DBAPIError) else str(error) or type(error).__name__
