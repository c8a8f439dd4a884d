"""Watcher: observes the system, and lets alerts begin, continue and end.

Every notifier observes, and one at a time decides, by a lock in PostgreSQL. An alert and its mails and events are
written in one transaction, so none is lost and none is doubled.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.notifier.alerts.conditions import (
    Condition,
    Limits,
    Memory,
    Observations,
    find_conditions,
    unknown_kinds,
)
from services.notifier.alerts.queries import observe_ledger, read_clock
from services.notifier.mail.messages import notice_id
from services.notifier.observer import NotifierObserver
from services.notifier.settings import NotifierSettings
from shared.alert_rules import RULES, AlertKind
from shared.broker.publisher import Publisher
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.errors import NotPublished
from shared.ledger.alerts import (
    AlertRow,
    begin_alert,
    continue_alert,
    end_alert,
    find_open_alerts,
    lock_alerts,
)
from shared.ledger.deliveries import put_mailing_events, put_webhook_event
from shared.ledger.mails import NewMail, insert_mail
from shared.topology import QUEUES, SENDER_JOBS, dead_queue
from shared.webhook_events import WebhookEvent

POLL = 15.0  # seconds
REPEATED_EVERY = timedelta(hours=1)
_EVENTS = {
    "began": WebhookEvent.ALERT_BEGAN,
    "continues": WebhookEvent.ALERT_CONTINUES,
    "ended": WebhookEvent.ALERT_ENDED,
}


class Watcher:
    """Steps of the loop of alerts."""

    def __init__(
        self,
        settings: NotifierSettings,
        engine: AsyncEngine,
        publisher: Publisher,
        observer: NotifierObserver,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._publisher = publisher
        self._observer = observer
        self._clock = clock
        self._memory = Memory()

    async def step(self) -> float:
        """Observe the system once, and judge."""
        seen = await self._observe()
        conditions = list(find_conditions(seen, self._limits()))
        unknown = unknown_kinds(seen)
        async with transaction(self._engine) as connection:
            open_alerts = {(alert.kind, alert.subject): alert for alert in await find_open_alerts(connection)}
            self._memory.observe(conditions, set(open_alerts), unknown, seen.now)
            if await lock_alerts(connection):
                # Read again under the lock: another notifier may have judged in between.
                open_alerts = {(alert.kind, alert.subject): alert for alert in await find_open_alerts(connection)}
                await self._judge(connection, conditions, open_alerts, seen.now)
        self._observer.alerts_observed(len(open_alerts))
        return POLL

    async def _judge(
        self,
        connection: AsyncConnection,
        conditions: list[Condition],
        open_alerts: Mapping[tuple[str, str], AlertRow],
        now: datetime,
    ) -> None:
        for condition in conditions:
            if (alert := open_alerts.get(condition.key)) is not None:
                await self._continue(connection, alert, condition, now)
            elif self._memory.has_held(condition, now):
                await self._begin(connection, condition, now)
        for key, alert in open_alerts.items():
            if self._memory.is_over(key, now):
                await end_alert(connection, alert.id, now)
                await self._notify(connection, alert, "ended", alert.facts, now)

    async def _begin(self, connection: AsyncConnection, condition: Condition, now: datetime) -> None:
        kind, severity = condition.kind.value, RULES[condition.kind].severity.value
        alert_id = await begin_alert(connection, kind, condition.subject, severity, condition.facts, now)
        if alert_id is None:
            return
        alert = AlertRow(alert_id, kind, condition.subject, severity, dict(condition.facts), now, now, None)
        await self._notify(connection, alert, "began", condition.facts, now)
        if condition.kind is AlertKind.MAILING_LATE:
            await put_mailing_events(connection, WebhookEvent.MAILING_LATE, [int(condition.subject)])

    async def _continue(
        self, connection: AsyncConnection, alert: AlertRow, condition: Condition, now: datetime
    ) -> None:
        is_due = now - alert.notified_at >= REPEATED_EVERY
        await continue_alert(connection, alert.id, condition.facts, now, is_notified=is_due)
        if is_due:
            await self._notify(connection, alert, "continues", condition.facts, now)

    async def _notify(
        self,
        connection: AsyncConnection,
        alert: AlertRow,
        phase: str,
        facts: Mapping[str, object],
        now: datetime,
    ) -> None:
        """Write the mails and the event of a phase of an alert."""
        settings = self._settings
        if settings.smtp_host is not None:
            for recipient in settings.alert_to:
                message_id = notice_id(alert.id, phase, now, recipient.address, settings.mail_from)
                language = settings.language_of(recipient)
                new = NewMail(message_id, recipient.address, language, alert_id=alert.id, phase=phase)
                await insert_mail(connection, new, utc_now())
        data: dict[str, object] = {
            "alert_id": alert.id,
            "kind": alert.kind,
            "subject": alert.subject,
            "severity": alert.severity,
            "began_at": alert.began_at.isoformat(),
            "facts": dict(facts),
        }
        await put_webhook_event(connection, _EVENTS[phase], data, now)
        self._observer.alert_notified(alert, phase)

    async def _observe(self) -> Observations:
        before = utc_now()
        async with transaction(self._engine) as connection:
            server = await read_clock(connection)
            after = utc_now()
            now = self._clock()
            view = await observe_ledger(connection, now)
        dead_letters, senders = await self._observe_broker()
        return Observations(
            now=now,
            running=view.running,
            paused=view.paused,
            ended_lately=view.ended_lately,
            failed_lately=view.failed_lately,
            failed_posts=view.failed_posts,
            answered_posts=view.answered_posts,
            clock_difference=_difference(before, server.now, after),
            webhooks_off=view.webhooks_off,
            database_bytes=server.database_bytes,
            dead_letters=dead_letters,
            senders=senders,
        )

    async def _observe_broker(self) -> tuple[dict[str, int] | None, int | None]:
        queues = [queue.name for queue in QUEUES if queue.dead_letters]
        try:
            dead = {queue: await self._publisher.count_messages(dead_queue(queue)) for queue in queues}
            return dead, await self._publisher.count_consumers(SENDER_JOBS)
        except NotPublished:
            return None, None

    def _limits(self) -> Limits:
        settings = self._settings
        return Limits(
            settings.alert_late_share,
            settings.alert_failed_share,
            settings.alert_paused_for,
            settings.alert_clock_off,
            settings.alert_database_size,
        )


def _difference(before: datetime, there: datetime, after: datetime) -> timedelta:
    """Return how far our clock is ahead for certain: the answer was given at some time between both instants."""
    if there < before:
        return before - there
    return min(after - there, timedelta(0))
