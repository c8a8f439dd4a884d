"""Add clients.attributes: values of a client for texts and filters.

A new column with a constant default: no row is rewritten, and services of the version before run on with this
schema.
"""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("ALTER TABLE clients ADD COLUMN attributes jsonb NOT NULL DEFAULT '{}'")
