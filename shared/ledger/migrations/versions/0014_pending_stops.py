"""Add mailings.stop_pending_since: until every living sender has confirmed a stop.

A new column that may be NULL: services of the version before run on with this schema.
"""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN stop_pending_since timestamptz")
    op.execute("CREATE INDEX mailings_pending_stops ON mailings (id) WHERE stop_pending_since IS NOT NULL")
