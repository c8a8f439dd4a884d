"""Number the versions of a mailing that its users made, for the API's entity tags.

The column has a constant default, so no row is rewritten, and services of the version before run on with this
schema. A change that such a service makes meanwhile keeps the number.
"""

from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN version integer NOT NULL DEFAULT 1")
