"""Alembic's entry: runs the migrations over the connection that `shared.ledger.migrations` hands it."""

from alembic import context

from shared.ledger import access_tables, notifier_tables  # noqa: F401 - their tables belong to the metadata
from shared.ledger.tables import Table

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Table.metadata, transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
