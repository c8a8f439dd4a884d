"""Messages are vacuumed sooner: the settings only, nothing is rewritten, and reads and writes go on beside it."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.execute("""
        ALTER TABLE messages SET (autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_scale_factor = 0.01)
    """)
