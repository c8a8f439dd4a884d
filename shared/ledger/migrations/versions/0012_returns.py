"""Count how often the messages of a job have come back without a POST."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN returns integer NOT NULL DEFAULT 0")
