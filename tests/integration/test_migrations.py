"""The migrations."""

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from shared.tables import Table


def test_the_migrations_make_what_the_tables_say(database_url: str) -> None:
    engine = create_engine(database_url.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    engine.dispose()


def test_the_migrations_store_rows_as_the_tables_say(database_url: str) -> None:
    wanted = {
        name: {option: str(value) for option, value in table.dialect_options["postgresql"]["with"].items()}
        for name, table in Table.metadata.tables.items()
        if table.dialect_options["postgresql"]["with"]
    }
    with psycopg.connect(database_url) as connection:
        found = connection.execute(
            "SELECT relname, reloptions FROM pg_class WHERE reloptions IS NOT NULL AND relname = ANY(%s)",
            (list(Table.metadata.tables),),
        )
        assert {name: dict(option.split("=", 1) for option in options) for name, options in found} == wanted
