"""Alerts on real servers: each begins once, is repeated at most hourly, and ends with a word."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.alerts.watcher import Watcher
from services.notifier.mailer import MAIL_POLL, Mailer
from services.notifier.observer import NotifierObserver
from services.notifier.settings import NotifierSettings
from shared.broker.publisher import Publisher
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.topology import DEAD_LETTERS, PLANNER_EVENTS, dead_queue
from tests.integration.api_client import api_on
from tests.integration.ledger import query
from tests.mail_server import mail_server
from tests.servers import empty_queues

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def publisher(broker_url: str, clean_broker: None) -> AsyncIterator[Publisher]:
    opened = Publisher(SecretStr(broker_url), "tests publisher")
    yield opened
    await opened.close()


class World:
    """Several watchers on one clock."""

    def __init__(self, settings: NotifierSettings, engine: AsyncEngine, publisher: Publisher) -> None:
        self.now = utc_now()
        observer = NotifierObserver()
        self.watchers = [Watcher(settings, engine, publisher, observer, lambda: self.now) for _ in range(3)]

    async def watch(self, after: timedelta = timedelta(0)) -> datetime:
        """Let the time pass, and let all watchers observe at once."""
        self.now += after
        await asyncio.gather(*(watcher.step() for watcher in self.watchers))
        return self.now


def settings_for(database_url: str, broker_url: str, port: int = 25) -> NotifierSettings:
    return NotifierSettings.model_validate(
        {
            "database_url": database_url,
            "broker_url": broker_url,
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "smtp_security": "none",
            "alert_to": "anna@example.org",
        }
    )


async def change(engine: AsyncEngine, statement: str) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text(statement))


async def phases(engine: AsyncEngine, kind: str) -> list[object]:
    rows = await query(
        engine,
        f"SELECT phase FROM mails JOIN alerts ON alerts.id = alert_id WHERE kind = '{kind}' ORDER BY mails.id",
    )
    return [row[0] for row in rows]


async def test_an_alert_of_three_notifiers_begins_once_is_repeated_hourly_and_ends(
    engine: AsyncEngine, publisher: Publisher, database_url: str, broker_url: str, tmp_path: Path
) -> None:
    with mail_server(tmp_path, encrypted=False) as server:
        settings = settings_for(database_url, broker_url, server.port)
        world = World(settings, engine, publisher)
        await change(
            engine,
            "INSERT INTO webhooks (name, url, events, secret)"
            " VALUES ('ops', 'https://example.org/', '{alert.began,alert.continues,alert.ended}', 'secret')",
        )
        await publisher.publish(DEAD_LETTERS, dead_queue(PLANNER_EVENTS), b"{}")
        await world.watch()
        assert await phases(engine, "dead_letters") == ["began"]
        for _ in range(3):
            await world.watch(25 * MINUTE)
        assert await phases(engine, "dead_letters") == ["began", "continues"]

        async with api_on(database_url, broker_url) as api:
            shown = (await api.get("/api/alert/", params={"open": "true"})).json()["items"]
        assert ("dead_letters", PLANNER_EVENTS, {"messages": 1}) in [
            (alert["kind"], alert["subject"], alert["facts"]) for alert in shown
        ]

        await empty_queues(broker_url)
        await world.watch(MINUTE)
        await world.watch(MINUTE)
        await world.watch(MINUTE)
        assert await phases(engine, "dead_letters") == ["began", "continues", "ended"]
        events = await query(engine, "SELECT kind FROM deliveries WHERE body LIKE '%dead_letters%' ORDER BY id")
        assert [row[0] for row in events] == ["alert.began", "alert.continues", "alert.ended"]

        smtp = settings.smtp_server()
        assert smtp is not None
        mailer = Mailer(settings, smtp, engine, NotifierObserver())
        while await mailer.send() != MAIL_POLL:
            pass
        subjects = [str(mail.message["Subject"]) for mail in server.received]
    title = "planner.events has messages that no service could handle"
    assert [subject for subject in subjects if "planner.events" in subject] == [
        title,
        f"Still: {title}",
        f"Over: {title}",
    ]


async def test_a_late_mailing_a_long_pause_failures_and_an_outage_are_seen_in_the_ledger(
    engine: AsyncEngine, publisher: Publisher, database_url: str, broker_url: str
) -> None:
    world = World(settings_for(database_url, broker_url), engine, publisher)
    await change(
        engine,
        "INSERT INTO webhooks (name, url, events, secret)"
        " VALUES ('ops', 'https://example.org/', '{mailing.late}', 'secret')",
    )
    await change(
        engine,
        "INSERT INTO mailings (starts_at, expired_at, text, filter, state, started_at, paused_at)"
        " SELECT now() - interval '1 day', now() + interval '20 minutes', 'hello', '{}', 'running', now(),"
        " paused_at"
        " FROM (VALUES (1, NULL), (2, now() - interval '2 hours')) AS given(n, paused_at) ORDER BY n",
    )
    await change(engine, "INSERT INTO counters (mailing_id, total, new) VALUES (1, 1000, 1000), (2, 1000, 1000)")
    await change(
        engine,
        "INSERT INTO jobs (mailing_id, due_at, size, open) VALUES (1, now() - interval '1 minute', 1000, 1000)",
    )
    for _ in range(8):  # the conditions hold for long enough
        await change(
            engine,
            "INSERT INTO progress (mailing_id, at, status, reason, messages)"
            f" VALUES (1, timestamptz '{world.now.isoformat()}' - interval '2 minutes', 'failed', 'answer', 40)",
        )
        await change(
            engine,
            "INSERT INTO attempts (message_id, at, sender, outcome, duration_ms)"
            f" SELECT n, timestamptz '{world.now.isoformat()}', 's', 'deferred', 5"
            " FROM generate_series(1, 5) AS n",
        )
        await world.watch(MINUTE)
    rows = await query(engine, "SELECT kind, subject FROM alerts WHERE ended_at IS NULL ORDER BY kind")
    kinds = {tuple(row) for row in rows}
    assert kinds >= {
        ("mailing_late", "1"),
        ("mailing_paused", "2"),
        ("messages_fail", ""),
        ("provider_out", ""),
        ("senders_gone", ""),
    }
    late = await query(engine, "SELECT mailing_id FROM deliveries WHERE kind = 'mailing.late'")
    assert [row[0] for row in late] == [1]
    assert await phases(engine, "mailing_late") == ["began"]
