"""Observer of the notifier: turns what happened into log lines and metrics."""

from datetime import date

import structlog

from services.notifier.metrics import MAILS
from shared.ledger.mails import ClaimedMail

log = structlog.get_logger()


class NotifierObserver:
    """Logs and counts."""

    # The process

    def notifier_started(self, host: str, *, sends_mail: bool) -> None:
        """The notifier runs on this host."""
        log.info("notifier_started", host=host, sends_mail=sends_mail)

    def notifier_stopped(self) -> None:
        """The notifier has ended all its work."""
        log.info("notifier_stopped")

    # Mails. An address identifies a person, so the log has the id of the mail only.

    def reports_scheduled(self, day: date, mails: int) -> None:
        """Reports of a day are due."""
        log.info("reports_scheduled", day=day.isoformat(), mails=mails)

    def report_omitted(self, mail: ClaimedMail) -> None:
        """Nothing happened on the day of the report, so it is not sent."""
        log.info("report_omitted", mail_id=mail.id, day=str(mail.day))

    def mail_sent(self, mail: ClaimedMail) -> None:
        """The SMTP server has accepted a mail."""
        MAILS.labels("sent").inc()
        log.info("mail_sent", mail_id=mail.id, day=_day(mail), alert_id=mail.alert_id, tries=mail.tries)

    def mail_failed(self, mail: ClaimedMail, error: Exception) -> None:
        """A mail was not accepted, and is tried again."""
        MAILS.labels("failed").inc()
        log.warning("mail_failed", mail_id=mail.id, day=_day(mail), tries=mail.tries, error=str(error))

    def mail_given_up(self, mail: ClaimedMail, error: Exception) -> None:
        """A mail was refused for good, or not accepted for too long."""
        MAILS.labels("refused").inc()
        log.error("mail_given_up", mail_id=mail.id, day=_day(mail), tries=mail.tries, error=str(error))


def _day(mail: ClaimedMail) -> str | None:
    return None if mail.day is None else mail.day.isoformat()
