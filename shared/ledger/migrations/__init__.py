"""Migration of a database to the schema of `shared.ledger.tables`, by Alembic.

Several processes may run it at once: an advisory lock lets one of them work.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from pydantic import SecretStr
from sqlalchemy import create_engine, text

# A migration waits briefly for its locks and gives up, rather than stop the service behind it.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "10min"
MIGRATION_LOCK = 7_400_001  # the key of the advisory lock: one migrator at a time


def migrate(url: SecretStr, to: str = "head") -> str:
    """Applies what is missing up to a revision; returns the newest that there is."""
    engine = create_engine(url.get_secret_value(), connect_args={"connect_timeout": 10})
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"SET statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, to)
        head = ScriptDirectory.from_config(config).get_current_head()
    engine.dispose()
    return str(head)
