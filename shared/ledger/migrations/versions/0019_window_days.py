"""Add mailings.window_days: the days of the week of a local window.

A new column that may be NULL: services of the version before run on with this schema.
"""

from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN window_days smallint")
