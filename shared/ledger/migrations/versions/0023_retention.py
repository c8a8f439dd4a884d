"""Note since when the details of a mailing are being removed, and find single messages by their end.

There can be millions of single messages, so the index is built while others write. If that is interrupted, it
leaves an index that is not valid, which the next run removes first.
"""

from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN details_removed_at timestamptz")
    with op.get_context().autocommit_block():
        op.execute("DROP INDEX CONCURRENTLY IF EXISTS mailings_ended_singles")
        op.execute(
            "CREATE INDEX CONCURRENTLY mailings_ended_singles ON mailings (finished_at)"
            " WHERE express AND finished_at IS NOT NULL"
        )
