"""Add users, tokens, failed logins and the audit.

New tables only: services of the version before run on with this schema.
"""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE TYPE role AS ENUM ('viewer', 'operator', 'admin')")
    op.execute("CREATE TYPE token_kind AS ENUM ('api', 'session', 'link')")
    op.execute("""
        CREATE TABLE users (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            login text NOT NULL,
            name text NOT NULL,
            role role NOT NULL,
            language text NOT NULL DEFAULT 'en',
            zone text NOT NULL DEFAULT 'UTC',
            password_hash text,
            issuer text,
            subject text,
            disabled_at timestamptz,
            created_at timestamptz NOT NULL DEFAULT now(),
            signed_in_at timestamptz,
            CONSTRAINT login_length CHECK (char_length(login) BETWEEN 1 AND 100)
        )
    """)
    op.execute("CREATE UNIQUE INDEX users_login ON users (lower(login))")
    op.execute("CREATE UNIQUE INDEX users_subject ON users (issuer, subject) WHERE subject IS NOT NULL")
    op.execute("""
        CREATE TABLE tokens (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            kind token_kind NOT NULL,
            digest bytea NOT NULL,
            hint text NOT NULL,
            name text NOT NULL,
            role role,
            user_id bigint REFERENCES users (id) ON DELETE CASCADE,
            created_at timestamptz NOT NULL DEFAULT now(),
            expires_at timestamptz,
            idle_seconds integer,
            used_at timestamptz,
            revoked_at timestamptz
        )
    """)
    op.execute("CREATE UNIQUE INDEX tokens_digest ON tokens (digest)")
    op.execute("CREATE INDEX tokens_user ON tokens (user_id) WHERE user_id IS NOT NULL")
    op.execute("CREATE INDEX tokens_expiry ON tokens (expires_at) WHERE expires_at IS NOT NULL")
    op.execute("""
        CREATE TABLE login_failures (
            key text PRIMARY KEY,
            failures integer NOT NULL,
            last_at timestamptz NOT NULL
        )
    """)
    op.execute("""
        CREATE TABLE audit (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at timestamptz NOT NULL DEFAULT now(),
            actor text NOT NULL,
            token_id bigint,
            user_id bigint,
            address text,
            request_id text,
            operation text NOT NULL,
            refused boolean NOT NULL DEFAULT false,
            noun text,
            noun_id bigint,
            before jsonb,
            after jsonb
        )
    """)
    op.execute("CREATE INDEX audit_noun ON audit (noun, noun_id, id)")
    op.execute("CREATE INDEX audit_actor ON audit (actor, id)")
    op.execute("CREATE INDEX audit_at ON audit (at)")
