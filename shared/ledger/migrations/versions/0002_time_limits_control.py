"""Local windows, rate limits, single messages, retries, reasons, idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"

_REASONS = ("window", "zone", "end", "cancel", "client", "answer", "silence")


def upgrade() -> None:
    op.add_column("mailings", sa.Column("window_from", sa.Time(), nullable=True))
    op.add_column("mailings", sa.Column("window_until", sa.Time(), nullable=True))
    op.add_column("mailings", sa.Column("rate", sa.Double(), nullable=True))
    op.add_column("mailings", sa.Column("express", sa.Boolean(), server_default="false", nullable=False))
    op.add_column("mailings", sa.Column("number", sa.BigInteger(), nullable=True))
    op.add_column("mailings", sa.Column("retry_statuses", postgresql.ARRAY(sa.Text()), nullable=True))
    op.add_column("mailings", sa.Column("retry_ended_by", sa.DateTime(timezone=True), nullable=True))
    op.add_column("mailings", sa.Column("retried_to", sa.BigInteger(), server_default="0", nullable=False))
    op.create_check_constraint(
        "window_form",
        "mailings",
        "(window_from IS NULL) = (window_until IS NULL) AND window_from <> window_until",
    )
    op.create_check_constraint("rate_positive", "mailings", "rate > 0")
    op.create_index("mailings_number", "mailings", ["number"], postgresql_where=sa.text("number IS NOT NULL"))
    op.create_index(
        "mailings_listed", "mailings", ["id"], postgresql_where=sa.text("NOT express AND state <> 'deleted'")
    )

    op.add_column("jobs", sa.Column("zone", sa.Text(), nullable=True))
    op.create_index(
        "jobs_by_deadline",
        "jobs",
        ["mailing_id", "send_before", "due_at", "id"],
        postgresql_where=sa.text("state = 'planned'"),
    )
    op.create_index(
        "jobs_to_replan",
        "jobs",
        ["send_before"],
        postgresql_where=sa.text("state = 'planned' AND send_before IS NOT NULL"),
    )

    reason = postgresql.ENUM(*_REASONS, name="message_reason")
    reason.create(op.get_bind())
    op.add_column(
        "messages",
        sa.Column("reason", postgresql.ENUM(*_REASONS, name="message_reason", create_type=False), nullable=True),
    )

    op.create_table(
        "paces",
        sa.Column("mailing_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("taken_until", sa.Double(), nullable=False),
        sa.Column("left_over", postgresql.ARRAY(sa.Double()), nullable=True),
        sa.PrimaryKeyConstraint("mailing_id"),
        postgresql_with={"fillfactor": 20},
    )
    op.create_table(
        "idempotency_keys",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("char_length(key) BETWEEN 1 AND 255", name="key_length"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_index("idempotency_keys_age", "idempotency_keys", ["created_at"])
