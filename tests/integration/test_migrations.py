"""The migrations."""

import psycopg
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import create_engine

from shared.ledger import access_tables, notifier_tables  # noqa: F401 - their tables belong to the metadata
from shared.ledger.migrations import migrate
from shared.ledger.tables import Table
from tests.servers import Servers, own_database


def test_the_migrations_make_what_the_tables_say(database_url: str) -> None:
    engine = create_engine(database_url)
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


def test_messages_are_as_they_were_after_their_table_was_rewritten(servers: Servers) -> None:
    with own_database(servers, "migration") as url:
        for_us = SecretStr(url)
        migrate(for_us, to="0002")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("""
                INSERT INTO messages (mailing_id, client_id, job_id, created_at, settled_at, status, reason)
                VALUES (1, 1, 1, now(), now(), 'sent', NULL), (1, 2, 1, now(), now(), 'expired', 'window'),
                    (1, 3, 2, now(), NULL, 'new', NULL), (1, 4, 2, now(), NULL, 'new', NULL)
            """)
            connection.execute("DELETE FROM messages WHERE client_id = 4")  # its id was used all the same
        migrate(for_us)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("INSERT INTO messages (mailing_id, client_id, job_id) VALUES (2, 1, 3)")
            rows = connection.execute(
                "SELECT id, mailing_id, client_id, job_id, settled_at IS NULL, status, reason"
                " FROM messages ORDER BY id"
            ).fetchall()
    assert rows == [
        (1, 1, 1, 1, False, "sent", "none"),
        (2, 1, 2, 1, False, "expired", "window"),
        (3, 1, 3, 2, True, "new", "none"),
        (5, 2, 1, 3, True, "new", "none"),
    ]
