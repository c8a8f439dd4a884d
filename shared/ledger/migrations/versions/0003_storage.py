"""Messages take less room, and those that were not sent are found: no instant of their own for their mailing's
start, no NULLs once they are settled, an index by reason.

Rewrites the table, some seconds a million rows, while nobody else reads or writes it. It may, as nothing was
released before: a later migration has to expand first, and to contract when nobody writes the old way any more.
Rewritten and not altered, as PostgreSQL keeps a dropped column as a NULL, and a row with NULLs is longer by eight.
"""

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"

_REASONS = ("none", "window", "zone", "end", "cancel", "client", "answer", "silence")
_NEXT_ID = text("SELECT last_value + is_called::int FROM messages_id_seq")


def upgrade() -> None:
    op.execute("ALTER TYPE message_reason RENAME TO message_reason_before")
    op.execute(f"CREATE TYPE message_reason AS ENUM ({', '.join(map(repr, _REASONS))})")
    op.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
    next_id = int(op.get_bind().execute(_NEXT_ID).scalar_one())
    op.execute("ALTER TABLE messages RENAME TO messages_before")
    op.execute("""
        CREATE TABLE messages (
            id bigint NOT NULL,
            mailing_id bigint NOT NULL,
            client_id bigint NOT NULL,
            job_id bigint NOT NULL,
            settled_at timestamptz,
            status message_status NOT NULL DEFAULT 'new',
            reason message_reason NOT NULL DEFAULT 'none',
            duration_ms integer,
            tries smallint NOT NULL DEFAULT 0
        ) WITH (fillfactor = 85, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_scale_factor = 0.01)
    """)
    op.execute("""
        INSERT INTO messages
        SELECT id, mailing_id, client_id, job_id, settled_at, status,
            coalesce(reason::text, 'none')::message_reason, duration_ms, tries
        FROM messages_before ORDER BY id
    """)
    op.execute("DROP TABLE messages_before")
    op.execute("DROP TYPE message_reason_before")
    # The ids go on where they were: the provider must never see one twice.
    op.execute(f"ALTER TABLE messages ALTER id ADD GENERATED ALWAYS AS IDENTITY (START WITH {next_id})")
    op.create_primary_key("messages_pkey", "messages", ["id"])
    op.create_index("messages_client", "messages", ["client_id"])
    op.create_index(
        "messages_unsent",
        "messages",
        ["mailing_id", "reason", "client_id"],
        postgresql_where=text("reason <> 'none'"),
    )
    op.create_index("messages_job", "messages", ["job_id"])
    op.create_index("messages_mailing_client", "messages", ["mailing_id", "client_id"], unique=True)
    op.create_index("jobs_mailing", "jobs", ["mailing_id"])
    op.create_index("outbox_stops", "outbox", ["id"], postgresql_where=text("exchange = 'mailing.control'"))
