"""Keep the versions of a mailing's text, and the texts that were rendered for one client.

New columns that may be NULL or have a constant default, and new tables: services of the version before run on with
this schema. The texts of old mailings have no placeholders, so they are sent as they stand.
"""

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    op.execute("ALTER TABLE mailings ADD COLUMN has_placeholders boolean NOT NULL DEFAULT false")
    op.execute("ALTER TABLE mailings ADD COLUMN text_version integer NOT NULL DEFAULT 1")
    op.execute("ALTER TABLE jobs ADD COLUMN text_version integer")
    op.execute("ALTER TABLE jobs ADD COLUMN keeps_text boolean NOT NULL DEFAULT false")
    op.execute("""
        CREATE TABLE mailing_texts (
            mailing_id bigint NOT NULL REFERENCES mailings (id) ON DELETE CASCADE,
            version integer NOT NULL,
            text text NOT NULL,
            has_placeholders boolean NOT NULL,
            replaced_at timestamptz NOT NULL DEFAULT now(),
            PRIMARY KEY (mailing_id, version)
        )
    """)
    op.execute("""
        CREATE TABLE message_texts (
            message_id bigint PRIMARY KEY,
            version integer NOT NULL,
            text text NOT NULL
        )
    """)
