"""Add the fields of a mailing that only its provider uses: the sender name and the validity.

New columns that may be NULL: services of the version before run on with this schema.
"""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN sender_name text, ADD COLUMN validity integer")
