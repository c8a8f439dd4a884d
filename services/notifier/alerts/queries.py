"""Observations of the ledger for alerts, in one short transaction."""

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.alerts.conditions import RATE_OVER, RunningMailing

MAILINGS_LOOKED_AT = 100
FAILURES_OVER = timedelta(minutes=10)
POSTS_OVER = timedelta(minutes=1)
MOST_POSTS = 1000

_BOUND = text("SET LOCAL statement_timeout = '5s'")

_RUNNING = text("""
    -- observe_running_mailings --
    SELECT mailings.id, total, expired_at, (
        SELECT coalesce(sum(jobs.open), 0) FROM jobs
        WHERE mailing_id = mailings.id AND (
            jobs.state = 'released'
            OR jobs.state = 'planned' AND due_at <= :now AND (send_before IS NULL OR send_before > :now)
        )
    ) AS due, (
        SELECT coalesce(sum(messages), 0) FROM progress WHERE mailing_id = mailings.id AND at >= :since
    ) AS settled
    FROM mailings JOIN counters ON counters.mailing_id = mailings.id
    WHERE state = 'running' AND finished_at IS NULL AND paused_at IS NULL AND expired_at > :now AND NOT express
    ORDER BY expired_at, mailings.id LIMIT :most
""")

_PAUSED = text("""
    -- observe_paused_mailings --
    SELECT mailings.id, paused_at FROM mailings JOIN counters ON counters.mailing_id = mailings.id
    WHERE state = 'running' AND finished_at IS NULL AND paused_at IS NOT NULL AND NOT express AND new + active > 0
    ORDER BY paused_at LIMIT :most
""")

_ENDED = text("""
    -- observe_ended_messages --
    SELECT coalesce(sum(messages) FILTER (WHERE status <> 'canceled'), 0) AS ended,
        coalesce(sum(messages) FILTER (WHERE status IN ('failed', 'uncertain')), 0) AS failed,
        coalesce(sum(messages) FILTER (
            WHERE at >= :posts_since AND (status = 'sent' OR status = 'failed' AND reason = 'answer')
        ), 0) AS answered
    FROM progress WHERE at >= :since
""")

_FAILED_POSTS = text("""
    -- observe_failed_posts --
    SELECT count(*) FROM (
        SELECT FROM attempts WHERE at >= :since AND outcome IN ('deferred', 'uncertain') LIMIT :most
    ) AS failed
""")

_WEBHOOKS_OFF = text("""
    -- observe_webhooks_off --
    SELECT id, disabled_because FROM webhooks WHERE disabled_because IS NOT NULL ORDER BY id LIMIT :most
""")

_CLOCK = text("SELECT clock_timestamp() AS now, pg_database_size(current_database()) AS bytes")


class LedgerView(NamedTuple):
    """Part of the observations that PostgreSQL knows. `clock` is its own."""

    running: list[RunningMailing]
    paused: dict[int, datetime]
    ended_lately: int
    failed_lately: int
    failed_posts: int
    answered_posts: int
    webhooks_off: dict[int, str]


class ServerClock(NamedTuple):
    """Clock of PostgreSQL, and the size of the database."""

    now: datetime
    database_bytes: int


async def read_clock(connection: AsyncConnection) -> ServerClock:
    """Return the time of PostgreSQL's clock, and the size of the database."""
    row = (await connection.execute(_CLOCK)).one()
    return ServerClock(row.now, row.bytes)


async def observe_ledger(connection: AsyncConnection, now: datetime) -> LedgerView:
    """Read what the ledger knows."""
    await connection.execute(_BOUND)
    most = {"most": MAILINGS_LOOKED_AT}
    running = await connection.execute(_RUNNING, {"now": now, "since": now - RATE_OVER, **most})
    mailings = [
        RunningMailing(row.id, row.total, int(row.due), int(row.settled), row.expired_at) for row in running
    ]
    paused = {row.id: row.paused_at for row in await connection.execute(_PAUSED, most)}
    since = {"since": now - FAILURES_OVER, "posts_since": now - POSTS_OVER}
    ended = (await connection.execute(_ENDED, since)).one()
    posts = await connection.execute(_FAILED_POSTS, {"since": now - POSTS_OVER, "most": MOST_POSTS})
    off = {row.id: row.disabled_because for row in await connection.execute(_WEBHOOKS_OFF, most)}
    return LedgerView(
        mailings, paused, int(ended.ended), int(ended.failed), posts.scalar_one(), int(ended.answered), off
    )
