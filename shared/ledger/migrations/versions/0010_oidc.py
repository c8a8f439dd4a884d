"""Add the nonces with which people have signed in by an identity provider.

A new table only: services of the version before run on with this schema.
"""

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.execute("CREATE TABLE spent_nonces (digest bytea PRIMARY KEY, spent_at timestamptz NOT NULL)")
