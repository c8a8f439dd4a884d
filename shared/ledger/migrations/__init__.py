"""Migration of a database to the schema of `shared.ledger.tables`, by Alembic.

Several processes may run it at once: an advisory lock lets one of them work.
"""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import NullPool

from shared.database.failures import driver_reason
from shared.database.transactions import OUTDATED, transaction
from shared.errors import DatabaseUnavailable, SchemaOutdated

# A migration waits briefly for its locks and gives up, rather than stop the service behind it.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
MIGRATION_LOCK = 7_400_001  # the key of the advisory lock: one migrator at a time


def migrate(url: SecretStr, to: str = "head") -> str:
    """Apply the missing migrations up to a revision, and return the newest revision of this version.

    Raises:
        DatabaseUnavailable: no connection could be made; the message is the driver's reason.
    """
    config = _config()
    with open_connection(url) as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        config.attributes["connection"] = connection
        command.upgrade(config, to)
    return newest_revision()


def open_connection(url: SecretStr) -> Connection:
    """Open a connection of its own; its end closes it.

    Raises:
        DatabaseUnavailable: no connection could be made; the message is the driver's reason.
    """
    engine = create_engine(url.get_secret_value(), poolclass=NullPool, connect_args={"connect_timeout": 10})
    try:
        return engine.connect()
    except DBAPIError as error:
        raise DatabaseUnavailable(driver_reason(error)) from error


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the database; None if it has no schema yet."""
    return MigrationContext.configure(connection).get_current_revision()


async def check_schema(engine: AsyncEngine) -> None:
    """Raise DatabaseUnavailable if the database does not answer, or SchemaOutdated if it is too old."""
    async with transaction(engine) as connection:
        await ensure_current_schema(connection)


async def ensure_current_schema(connection: AsyncConnection) -> None:
    """Raise SchemaOutdated if the database is older than this version. A newer one serves this version, too."""
    current = await connection.run_sync(current_revision)
    if current is None or current < newest_revision():
        raise SchemaOutdated(
            OUTDATED, f"{OUTDATED}: it is at revision {current or 'none'}, not {newest_revision()}"
        )


@cache
def newest_revision() -> str:
    """Return the revision that this version of the service needs."""
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config
