"""Index the attempts and the answers by time, for the list of results across mailings.

The index of messages is of the kind BRIN, which knows the times of a range of pages and not of rows. PostgreSQL 16
and later keep settling a message on its page (HOT) with such an index.
"""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.execute("CREATE INDEX attempts_at ON attempts (at, message_id)")
    op.execute(
        "CREATE INDEX messages_settled_at ON messages USING brin (settled_at)"
        " WITH (pages_per_range = 16, autosummarize = on)"
    )
