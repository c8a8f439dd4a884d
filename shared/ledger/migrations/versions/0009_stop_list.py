"""Add the stop list, and names and kinds of mailings.

New columns have defaults, so services of the version before run on with this schema. Their mailings are marketing.
"""

from alembic import op

from shared.ledger.migrations.recipes import add_reason

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.execute("CREATE TYPE stop_scope AS ENUM ('marketing', 'all')")
    op.execute("""
        CREATE TABLE stops (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            number bigint NOT NULL,
            scope stop_scope NOT NULL DEFAULT 'marketing',
            since timestamptz NOT NULL DEFAULT now(),
            source text NOT NULL DEFAULT '',
            note text NOT NULL DEFAULT '',
            CONSTRAINT number_form CHECK (number BETWEEN 70000000000 AND 79999999999),
            CONSTRAINT stops_number_key UNIQUE (number)
        )
    """)
    op.execute("CREATE TYPE mailing_kind AS ENUM ('marketing', 'service')")
    op.execute(
        "ALTER TABLE mailings ADD COLUMN kind mailing_kind NOT NULL DEFAULT 'marketing', ADD COLUMN name text"
    )
    op.execute("ALTER TABLE mailings ADD CONSTRAINT name_length CHECK (char_length(name) BETWEEN 1 AND 100)")
    add_reason("stopped")
