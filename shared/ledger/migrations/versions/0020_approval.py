"""Let large mailings wait for approval: a state, who wrote a mailing, and who approved it.

New columns that may be NULL, and a value that services of the version before never meet while
MAILING_APPROVE_ABOVE is not set: they run on with this schema.
"""

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.execute("ALTER TYPE mailing_state ADD VALUE 'waiting' BEFORE 'scheduled'")
    op.execute("ALTER TABLE mailings ADD COLUMN author text, ADD COLUMN approved_by text")
