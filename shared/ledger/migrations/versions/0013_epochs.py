"""Note the ledger's epochs: each restore from a backup begins one."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE epochs (
            epoch bigint NOT NULL CONSTRAINT epochs_pkey PRIMARY KEY,
            began_at timestamp with time zone NOT NULL,
            reason text NOT NULL
        )
    """)
