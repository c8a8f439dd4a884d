"""Add mailings.max_parts: the number of SMS parts that a text may have.

A new column that may be NULL: services of the version before run on with this schema.
"""

from alembic import op

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN max_parts smallint")
