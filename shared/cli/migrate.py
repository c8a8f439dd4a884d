"""`mailing migrate`: bring the database to the current schema."""

import argparse
import sys

from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError

from shared.database.failures import driver_reason
from shared.errors import DatabaseUnavailable
from shared.ledger.migrations import migrate
from shared.settings import DatabaseSettings, load

SUMMARY = "bring the database to the current schema"
DESCRIPTION = (
    "Bring the database MAILING_DATABASE_URL to the current schema. Run it once per new version, before the "
    "services start. Repeating it changes nothing. Exit status: 0 done, 1 the migration failed, 2 there is no "
    "connection to the database."
)

FAILED = 1
NO_CONNECTION = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare no options."""


def run(_: argparse.Namespace) -> int:
    """Apply the missing migrations; report a failure in one line."""
    url = load(DatabaseSettings).database_url
    try:
        revision = migrate(url)
    except DatabaseUnavailable as error:
        return _fail(f"no connection to PostgreSQL: {error}", NO_CONNECTION)
    except DBAPIError as error:
        return _fail(f"PostgreSQL refused a statement: {driver_reason(error)}", FAILED)
    except CommandError as error:  # its text names a revision that a later version has made
        return _fail(f"{error}: install the version that made this schema, or a newer one", FAILED)
    print(f"database is at revision {revision}")
    return 0


def _fail(problem: str, status: int) -> int:
    print(f"migrate: {problem}", file=sys.stderr)
    return status
