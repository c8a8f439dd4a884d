"""Add the trace context of the request that created a mailing.

A nullable column without a default changes the catalogue only: no row is rewritten.
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("mailings", sa.Column("traceparent", sa.Text(), nullable=True))
