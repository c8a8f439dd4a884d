"""The schema of the first release."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "attempts",
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("provider_status", sa.SmallInteger(), nullable=True),
        sa.Column("provider_text", sa.Text(), nullable=True),
        sa.Column("duration_ms", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "at"),
    )
    op.create_table(
        "clients",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column(
            "code",
            sa.SmallInteger(),
            sa.Computed("mod(number / 10000000, 1000)::smallint", persisted=True),
            nullable=False,
        ),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(tag) BETWEEN 1 AND 100", name="tag_length"),
        sa.CheckConstraint("number BETWEEN 70000000000 AND 79999999999", name="number_form"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("number"),
    )
    op.create_index("clients_code", "clients", ["code", "id"], unique=False)
    op.create_index("clients_tag", "clients", ["tag", "id"], unique=False)
    op.create_index("clients_zone", "clients", ["zone", "id"], unique=False)
    op.create_table(
        "jobs",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("send_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("open", sa.Integer(), nullable=False),
        sa.Column(
            "state",
            sa.Enum("planned", "released", "done", name="job_state"),
            server_default="planned",
            nullable=False,
        ),
        sa.Column("release", sa.Integer(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("done_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("sender", sa.Text(), nullable=True),
        sa.CheckConstraint("open BETWEEN 0 AND size", name="open_within_size"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("jobs_done", "jobs", ["done_at"], unique=False, postgresql_where=sa.text("state = 'done'"))
    op.create_index(
        "jobs_planned",
        "jobs",
        ["mailing_id", "due_at", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'planned'"),
    )
    op.create_index(
        "jobs_released", "jobs", ["lease_until"], unique=False, postgresql_where=sa.text("state = 'released'")
    )
    op.create_table(
        "mailings",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expired_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("filter", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column(
            "state",
            sa.Enum("scheduled", "running", "finished", "canceled", "deleted", name="mailing_state"),
            server_default="scheduled",
            nullable=False,
        ),
        sa.Column("paused_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revision", sa.Integer(), server_default="0", nullable=False),
        sa.Column("stopped_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("audience_until", sa.BigInteger(), nullable=True),
        sa.Column("expanded_to", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expanded_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.CheckConstraint("char_length(text) <= 500", name="text_length"),
        sa.CheckConstraint("expired_at > starts_at", name="end_after_start"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "mailings_open",
        "mailings",
        ["id"],
        unique=False,
        postgresql_where=sa.text("state <> 'scheduled' AND finished_at IS NULL"),
    )
    op.create_index(
        "mailings_scheduled",
        "mailings",
        ["starts_at"],
        unique=False,
        postgresql_where=sa.text("state = 'scheduled'"),
    )
    op.create_index(
        "mailings_stopped",
        "mailings",
        ["stopped_at"],
        unique=False,
        postgresql_where=sa.text("stopped_at IS NOT NULL"),
    )
    op.create_table(
        "messages",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("client_id", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "status",
            sa.Enum("new", "active", "sent", "failed", "expired", "canceled", "uncertain", name="message_status"),
            server_default="new",
            nullable=False,
        ),
        sa.Column("duration_ms", sa.Integer(), nullable=True),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
        postgresql_with={"fillfactor": 75},
    )
    op.create_index("messages_client", "messages", ["client_id"], unique=False)
    op.create_index("messages_job", "messages", ["job_id"], unique=False)
    op.create_index("messages_mailing_client", "messages", ["mailing_id", "client_id"], unique=True)
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("exchange", sa.Text(), nullable=False),
        sa.Column("routing_key", sa.Text(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "counters",
        sa.Column("mailing_id", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("new", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("active", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("sent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("failed", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expired", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("canceled", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("uncertain", sa.BigInteger(), server_default="0", nullable=False),
        sa.CheckConstraint(
            "least(new, active, sent, failed, expired, canceled, uncertain) >= 0", name="not_negative"
        ),
        sa.CheckConstraint("new + active + sent + failed + expired + canceled + uncertain = total", name="add_up"),
        sa.ForeignKeyConstraint(["mailing_id"], ["mailings.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("mailing_id"),
        postgresql_with={"fillfactor": 20},
    )
