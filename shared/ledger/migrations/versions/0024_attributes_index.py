"""Find clients by their attributes.

The index leaves out the clients without attributes, so it costs nothing where there are none. As there can be
millions of clients, so it is built while others write. If that is interrupted, it leaves an index that is not
valid, which the next run removes first.
"""

from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS clients_attributes")
        op.execute(
            "CREATE INDEX CONCURRENTLY clients_attributes ON clients USING gin (attributes jsonb_path_ops)"
            " WHERE attributes <> '{}'"
        )
