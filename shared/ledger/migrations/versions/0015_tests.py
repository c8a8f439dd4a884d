"""Mark the single messages that are tests of a mailing.

The column is nullable, so services of the version before run on with this schema.
"""

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN test_of bigint")
