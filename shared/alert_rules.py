"""Alerts: their severity, and for how long a condition must hold until one begins. Pure.

The alerts of Prometheus with the same meaning stand in `deploy/prometheus/alerts.yml`. A test compares them.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class AlertKind(StrEnum):
    """Condition that somebody should look at."""

    PROVIDER_OUT = "provider_out"  # POSTs fail, and none is answered
    SENDERS_GONE = "senders_gone"  # no sender takes jobs
    MAILING_LATE = "mailing_late"  # a mailing will not finish before its end
    MAILING_PAUSED = "mailing_paused"  # a mailing has been paused for long
    MESSAGES_FAIL = "messages_fail"  # too many messages fail
    DEAD_LETTERS = "dead_letters"  # messages that no service could handle
    CLOCK_OFF = "clock_off"  # the clocks of a notifier and of PostgreSQL differ
    WEBHOOK_OFF = "webhook_off"  # a webhook was switched off, because it failed
    DATABASE_LARGE = "database_large"  # the database has reached the size of the settings


class Severity(StrEnum):
    """Urgency of an alert."""

    PAGE = "page"  # for now
    TICKET = "ticket"  # for today


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Severity of an alert, how long its condition must `hold`, and the alert of Prometheus with its meaning."""

    severity: Severity
    hold: timedelta
    prometheus: str | None = None


RULES = {
    AlertKind.PROVIDER_OUT: AlertRule(Severity.PAGE, timedelta(minutes=1), "ProviderOut"),
    AlertKind.SENDERS_GONE: AlertRule(Severity.PAGE, timedelta(minutes=1), "ServiceDown"),
    AlertKind.MAILING_LATE: AlertRule(Severity.PAGE, timedelta(minutes=3), "MailingWillNotFinish"),
    AlertKind.MAILING_PAUSED: AlertRule(Severity.TICKET, timedelta(0)),
    AlertKind.MESSAGES_FAIL: AlertRule(Severity.TICKET, timedelta(minutes=5), "MessagesFail"),
    AlertKind.DEAD_LETTERS: AlertRule(Severity.TICKET, timedelta(0), "DeadLetters"),
    AlertKind.CLOCK_OFF: AlertRule(Severity.TICKET, timedelta(minutes=1)),
    AlertKind.WEBHOOK_OFF: AlertRule(Severity.TICKET, timedelta(0)),
    AlertKind.DATABASE_LARGE: AlertRule(Severity.PAGE, timedelta(minutes=1)),
}
FAILED_SHARE = 0.03  # of the messages that ended within ten minutes; the default of the setting
