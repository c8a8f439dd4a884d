"""Add mails, alerts, webhooks and their deliveries.

New tables only: services of the version before run on with this schema.
"""

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.execute("""
        CREATE TABLE alerts (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind text NOT NULL,
            subject text NOT NULL,
            severity text NOT NULL,
            facts jsonb NOT NULL,
            began_at timestamptz NOT NULL,
            notified_at timestamptz NOT NULL,
            ended_at timestamptz
        )
    """)
    op.execute("CREATE UNIQUE INDEX alerts_open ON alerts (kind, subject) WHERE ended_at IS NULL")
    op.execute("CREATE INDEX alerts_ended ON alerts (ended_at) WHERE ended_at IS NOT NULL")
    op.execute("""
        CREATE TABLE mails (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            message_id text NOT NULL,
            recipient text NOT NULL,
            language text NOT NULL,
            day date,
            alert_id bigint,
            phase text,
            created_at timestamptz NOT NULL DEFAULT now(),
            next_at timestamptz NOT NULL,
            lease_until timestamptz,
            tries integer NOT NULL DEFAULT 0,
            sent_at timestamptz,
            given_up_at timestamptz,
            error text
        )
    """)
    op.execute("CREATE UNIQUE INDEX mails_message_id ON mails (message_id)")
    op.execute("CREATE INDEX mails_reports ON mails (recipient, day) WHERE day IS NOT NULL")
    op.execute("CREATE INDEX mails_open ON mails (next_at) WHERE sent_at IS NULL AND given_up_at IS NULL")
    op.execute("""
        CREATE TABLE webhooks (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            name text NOT NULL,
            url text NOT NULL,
            events text[] NOT NULL,
            messages text NOT NULL DEFAULT 'singles',
            secret bytea NOT NULL,
            previous_secret bytea,
            previous_until timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            failing_since timestamptz,
            disabled_at timestamptz,
            disabled_because text,
            CONSTRAINT url_length CHECK (char_length(url) BETWEEN 1 AND 2000)
        )
    """)
    op.execute("""
        CREATE TABLE deliveries (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            webhook_id bigint NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
            event_id uuid NOT NULL,
            kind text NOT NULL,
            mailing_id bigint NOT NULL,
            body text NOT NULL,
            created_at timestamptz NOT NULL DEFAULT now(),
            next_at timestamptz NOT NULL DEFAULT now(),
            lease_until timestamptz,
            tries integer NOT NULL DEFAULT 0,
            tried_at timestamptz,
            duration_ms integer,
            status smallint,
            error text,
            delivered_at timestamptz
        )
    """)
    op.execute(
        "CREATE INDEX deliveries_open ON deliveries (webhook_id, mailing_id, id) WHERE delivered_at IS NULL"
    )
    op.execute("CREATE INDEX deliveries_webhook ON deliveries (webhook_id, id)")
    op.execute("CREATE INDEX deliveries_age ON deliveries (created_at)")
