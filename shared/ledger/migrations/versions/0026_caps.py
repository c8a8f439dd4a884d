"""Add limits of what one person gets: columns of a mailing, and reasons of messages that are kept back.

New columns that may be NULL, and reasons that occur only for mailings that use them: services of the version
before run on with this schema.
"""

from alembic import op

from shared.ledger.migrations.recipes import add_reason

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.execute(
        "ALTER TABLE mailings ADD COLUMN cap_messages smallint, ADD COLUMN cap_days smallint,"
        " ADD COLUMN no_repeat smallint"
    )
    add_reason("capped")
    add_reason("repeated")
