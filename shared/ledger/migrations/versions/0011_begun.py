"""Note how far a job has come, for a provider that must not be asked twice."""

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.execute("ALTER TABLE jobs ADD COLUMN begun_to bigint, ADD COLUMN delivered boolean")
