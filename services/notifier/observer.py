"""Observer of the notifier: turns what happened into log lines and metrics."""

from datetime import date

import structlog

from services.notifier.metrics import DELIVERIES, DELIVERY_DURATION, MAILS, OPEN_ALERTS
from shared.database.failures import is_unavailable
from shared.ledger.alerts import AlertRow
from shared.ledger.deliveries import ClaimedLane, DeliveryTry, OpenDelivery
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

    # Alerts

    def alert_notified(self, alert: AlertRow, phase: str) -> None:
        """People and programs are notified of a phase of an alert."""
        write = log.info if phase == "ended" else log.warning
        write(f"alert_{phase}", alert_id=alert.id, kind=alert.kind, subject=alert.subject, facts=alert.facts)

    def alerts_observed(self, open_alerts: int) -> None:
        """The system was observed."""
        OPEN_ALERTS.set(open_alerts)

    # Webhooks. A URL may hold a secret, so the log has the id of the webhook only.

    def delivery_made(self, lane: ClaimedLane, delivery: OpenDelivery, made: DeliveryTry) -> None:
        """A receiver has accepted an event."""
        DELIVERIES.labels("delivered").inc()
        DELIVERY_DURATION.observe(made.duration_ms / 1000)
        log.debug("delivery_made", **_delivery_ids(lane, delivery), status=made.status)

    def delivery_failed(self, lane: ClaimedLane, delivery: OpenDelivery, made: DeliveryTry) -> None:
        """A receiver has not accepted an event, which is tried again."""
        DELIVERIES.labels("failed").inc()
        DELIVERY_DURATION.observe(made.duration_ms / 1000)
        tries = delivery.tries + 1
        log.warning("delivery_failed", **_delivery_ids(lane, delivery), tries=tries, error=made.error)

    def webhook_switched_off(self, webhook_id: int, error: str) -> None:
        """A webhook has failed for a day, or its receiver is gone."""
        log.error("webhook_switched_off", webhook_id=webhook_id, error=error)

    def lane_failed(self, error: BaseException) -> None:
        """Deliveries of a lane could not be made or recorded. They are claimed again when the lease is over."""
        if is_unavailable(error):
            log.warning("database_unavailable", loop="webhooks", waiting_for="PostgreSQL")
        else:
            log.error("lane_failed", exc_info=error)

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


def _delivery_ids(lane: ClaimedLane, delivery: OpenDelivery) -> dict[str, int | str]:
    return {
        "webhook_id": lane.webhook_id,
        "delivery_id": delivery.id,
        "mailing_id": lane.mailing_id,
        "kind": delivery.kind,
    }


def _day(mail: ClaimedMail) -> str | None:
    return None if mail.day is None else mail.day.isoformat()
