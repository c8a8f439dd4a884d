"""Remember persons that are being removed, and count the messages that were removed.

The counters have one row for each mailing, so the check is quick. Services of the version before do not write
`removed`.
"""

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE erasures (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            client_id bigint NOT NULL,
            number bigint,
            requested_at timestamptz NOT NULL DEFAULT now(),
            finished_at timestamptz,
            messages bigint NOT NULL DEFAULT 0
        )
    """)
    op.execute("CREATE UNIQUE INDEX erasures_open ON erasures (client_id) WHERE finished_at IS NULL")
    op.execute(
        "ALTER TABLE counters ADD COLUMN removed bigint NOT NULL DEFAULT 0,"
        " ADD CONSTRAINT removed_within_total CHECK (removed BETWEEN 0 AND total)"
    )
