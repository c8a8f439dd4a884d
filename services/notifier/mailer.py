"""Mailer: creates the reports that are due, and sends every mail that is due.

A crash at any point loses no mail. It repeats one only if it comes between the server's acceptance and the record
of it. Both have the same Message-ID then.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncEngine

from services.notifier.alerts.rendering import render_notice
from services.notifier.mail.messages import Content, Envelope, compose, report_id
from services.notifier.mail.rendering import MailStyle
from services.notifier.mail.smtp import MailNotSent, MailRefused, SmtpServer, send_mail
from services.notifier.observer import NotifierObserver
from services.notifier.queries import find_alert, find_last_reported_day
from services.notifier.report.days import due_days, last_due_day
from services.notifier.report.queries import read_report
from services.notifier.report.rendering import render_report
from services.notifier.settings import ReportSettings
from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.ledger.mails import (
    ClaimedMail,
    NewMail,
    claim_mail,
    insert_mail,
    record_failed_mail,
    record_sent_mail,
)

SCHEDULE_POLL = 5.0  # seconds
MAIL_POLL = 1.0
FIRST_PAUSE = timedelta(seconds=30)  # before a mail is tried again
LONGEST_PAUSE = timedelta(minutes=30)
GIVEN_UP_AFTER = timedelta(days=2)
# The server's time-out bounds a try, so a claim that is older than this belongs to a process that is gone.
LEASE_MARGIN = timedelta(seconds=15)


def pause_before_retry(tries: int) -> timedelta:
    """Return the pause after so many failed tries: greylisting ends after minutes, an outage after hours."""
    doublings: int = 2 ** min(tries - 1, 10)
    return min(FIRST_PAUSE * doublings, LONGEST_PAUSE)


class Mailer:
    """Steps of the loops of mail. `clock` decides which days are over."""

    def __init__(
        self,
        settings: ReportSettings,
        server: SmtpServer,
        engine: AsyncEngine,
        observer: NotifierObserver,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._settings = settings
        self._server = server
        self._engine = engine
        self._observer = observer
        self._clock = clock

    async def schedule_reports(self) -> float:
        """Create the mail of every report that is due and has none."""
        settings = self._settings
        last_due = last_due_day(self._clock(), settings.report_at, settings.zone())
        created = 0
        async with transaction(self._engine) as connection:
            for recipient in settings.report_to:
                last = await find_last_reported_day(connection, recipient.address)
                for day in due_days(last_due, last):
                    message_id = report_id(day, recipient.address, settings.mail_from)
                    language = settings.language_of(recipient)
                    new = NewMail(message_id, recipient.address, language, day=day)
                    created += await insert_mail(connection, new, utc_now())
        if created:
            self._observer.reports_scheduled(last_due, created)
        return SCHEDULE_POLL

    async def send(self) -> float:
        """Send one mail that is due."""
        async with transaction(self._engine) as connection:
            mail = await claim_mail(connection, utc_now(), self._settings.smtp_timeout + LEASE_MARGIN)
        if mail is None:
            return MAIL_POLL
        try:
            content = await self._render(mail)
        except Exception as error:
            await self._record_failure(mail, error, is_final=False)
            raise
        if content is None:
            self._observer.report_omitted(mail)
            async with transaction(self._engine) as connection:
                await record_failed_mail(connection, mail.id, "nothing happened", None, utc_now())
            return 0
        await self._deliver(mail, content)
        return 0

    async def _deliver(self, mail: ClaimedMail, content: Content) -> None:
        sender = self._settings.mail_from
        message = compose(Envelope(sender, mail.recipient, mail.message_id, mail.created_at), content)
        try:
            await send_mail(self._server, message, sender, mail.recipient)
        except (MailRefused, MailNotSent) as error:
            await self._record_failure(mail, error, is_final=isinstance(error, MailRefused))
            return
        async with transaction(self._engine) as connection:
            await record_sent_mail(connection, mail.id, utc_now())
        self._observer.mail_sent(mail)

    async def _render(self, mail: ClaimedMail) -> Content | None:
        """Render the mail; None if there is nothing to say."""
        style = style_of(self._settings)
        if mail.day is None:
            async with transaction(self._engine) as connection:
                alert = await find_alert(connection, mail.alert_id or 0)
            zone = self._settings.report_zone
            return None if alert is None else render_notice(alert, mail.phase or "", mail.language, zone, style)
        async with transaction(self._engine) as connection:
            facts = await read_report(connection, mail.day, self._settings.zone())
        if facts.is_empty and not self._settings.report_empty_days:
            return None
        return render_report(facts, mail.language, style)

    async def _record_failure(self, mail: ClaimedMail, error: Exception, *, is_final: bool) -> None:
        now = utc_now()
        is_final |= now - mail.created_at > GIVEN_UP_AFTER
        next_at = None if is_final else now + pause_before_retry(mail.tries)
        async with transaction(self._engine) as connection:
            await record_failed_mail(connection, mail.id, str(error), next_at, now)
        (self._observer.mail_given_up if is_final else self._observer.mail_failed)(mail, error)


def style_of(settings: ReportSettings) -> MailStyle:
    """Return the choices of the settings that a report shows."""
    console_url = None if settings.console_url is None else str(settings.console_url)
    return MailStyle(console_url, settings.report_part_price, settings.report_currency)
