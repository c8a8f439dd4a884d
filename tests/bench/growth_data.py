"""Ledgers of a given size, made by SQL: mailings that are over, and one that is due."""

from collections.abc import Callable

import psycopg

MAILING = 10_000  # messages in each mailing that is over
MOST_CLIENTS = 1_000_000
AT_ONCE = 100  # mailings in a transaction
# From here on it is faster to build the indexes anew than to keep them.
REBUILD_FROM = 2_000_000

_CLIENTS = """
INSERT INTO clients (number, tag, zone)
SELECT 79000000000 + n, '#bench', 'Europe/Moscow'
FROM generate_series((SELECT count(*) FROM clients) + 1, %(clients)s::bigint) AS n
"""

# One message in a hundred has failed, and has an attempt.
_FINISHED = """
WITH made AS (
    INSERT INTO mailings (starts_at, expired_at, text, filter, state, started_at, expanded_at, finished_at)
    SELECT now(), now() + interval '1 day', 'hello', '{"tag": ["#bench"]}', 'finished', now(), now(), now()
    FROM generate_series(1, %(mailings)s::bigint) RETURNING id
), counted AS (
    INSERT INTO counters (mailing_id, total, sent, failed)
    SELECT id, %(size)s::bigint, %(size)s::bigint * 99 / 100, %(size)s::bigint / 100 FROM made
), planned AS (
    INSERT INTO jobs (mailing_id, due_at, size, open, state, release, done_at, sender)
    SELECT id, now(), 100, 0, 'done', 1, now() - interval '1 hour', 'sender@bench:1'
    FROM made, generate_series(1, %(size)s::bigint / 100) ORDER BY made.id RETURNING id, mailing_id
), numbered AS (
    SELECT id, mailing_id, row_number() OVER (PARTITION BY mailing_id ORDER BY id) - 1 AS number FROM planned
), written AS (
    INSERT INTO messages (mailing_id, client_id, job_id, settled_at, status, reason, duration_ms)
    SELECT mailing_id, (mailing_id * 7919 + number * 100 + within) %% %(clients)s::bigint + 1, id, now(),
        CASE within WHEN 0 THEN 'failed' ELSE 'sent' END::message_status,
        CASE within WHEN 0 THEN 'answer' ELSE 'none' END::message_reason, 12
    FROM numbered, generate_series(0, 99) AS within ORDER BY mailing_id, number, within
    RETURNING id, status
)
INSERT INTO attempts (message_id, at, sender, outcome, provider_status, duration_ms)
SELECT id, now(), 'sender@bench:1', 'rejected', 400, 12 FROM written WHERE status = 'failed'
"""

_DUE = """
WITH made AS (
    INSERT INTO mailings (starts_at, expired_at, text, filter, state, started_at, expanded_at)
    SELECT now(), now() + interval '1 day', 'hello', '{"tag": ["#bench"]}', 'running', now(), now() RETURNING id
), counted AS (
    INSERT INTO counters (mailing_id, total, new) SELECT id, %(size)s::bigint, %(size)s::bigint FROM made
), planned AS (
    INSERT INTO jobs (mailing_id, due_at, size, open)
    SELECT id, now(), 100, 100 FROM made, generate_series(1, %(size)s::bigint / 100) RETURNING id, mailing_id
), numbered AS (SELECT id, mailing_id, row_number() OVER (ORDER BY id) - 1 AS number FROM planned)
INSERT INTO messages (mailing_id, client_id, job_id)
SELECT mailing_id, number * 100 + within + 1, id FROM numbered, generate_series(0, 99) AS within
ORDER BY number, within
"""

_INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid)
FROM pg_index WHERE indrelid = 'messages'::regclass AND NOT indisprimary
"""


def grow(database_url: str, messages: int, tell: Callable[[str], None]) -> None:
    """Fill the ledger up to a number of messages, as if mailings had left them behind."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        clients = min(messages, MOST_CLIENTS)
        connection.execute(_CLIENTS, {"clients": clients})
        there = _count(connection, "SELECT count(*) FROM messages")
        missing = (messages - there) // MAILING
        indexes = connection.execute(_INDEXES).fetchall() if missing * MAILING >= REBUILD_FROM else []
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        for done in range(0, missing, AT_ONCE):
            mailings = min(AT_ONCE, missing - done)
            connection.execute(_FINISHED, {"mailings": mailings, "size": MAILING, "clients": clients})
            if done % (10 * AT_ONCE) == 0:
                tell(f"{there + (done + mailings) * MAILING:,} messages are written")
        connection.execute("SET maintenance_work_mem = '2GB'")
        for _, definition in indexes:
            connection.execute(definition.encode())
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


def add_due_mailing(database_url: str, size: int) -> None:
    """Add a running mailing whose jobs are all due."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_DUE, {"size": size})
        connection.execute("ANALYZE messages, jobs")


def last_mailing(database_url: str) -> int:
    """Return the highest id of a mailing; there is one for each id up to it."""
    with psycopg.connect(database_url) as connection:
        return _count(connection, "SELECT max(id) FROM mailings")


def disk_bytes(database_url: str) -> int:
    """Return the size of the database on disk."""
    with psycopg.connect(database_url) as connection:
        return _count(connection, "SELECT pg_database_size(current_database())")


def wal_position(database_url: str) -> int:
    """Return the bytes of write-ahead log that were ever written."""
    with psycopg.connect(database_url) as connection:
        return _count(connection, "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint")


def _count(connection: psycopg.Connection, statement: str) -> int:
    row = connection.execute(statement.encode()).fetchone()
    assert row is not None
    return int(row[0])
