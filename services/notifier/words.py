"""Words of mails for statuses, reasons and states. They are translated where they are shown. Pure."""

from shared.alert_rules import AlertKind
from shared.statuses import MessageStatus
from shared.translation import N_

STATUSES = {
    MessageStatus.SENT: N_("Sent"),
    MessageStatus.FAILED: N_("Failed"),
    MessageStatus.EXPIRED: N_("Not sent in time"),
    MessageStatus.CANCELED: N_("Canceled"),
    MessageStatus.UNCERTAIN: N_("Uncertain"),
}
REASONS = {
    "none": N_("no reason noted"),
    "window": N_("the local window did not open again before the end"),
    "zone": N_("the client’s time zone is unknown"),
    "end": N_("the mailing’s end came first"),
    "cancel": N_("the mailing was canceled"),
    "client": N_("the client was deleted"),
    "stopped": N_("the number is on the stop list"),
    "answer": N_("the provider’s answer"),
    "silence": N_("a sender held the message and sent no report"),
}
STATES = {
    "scheduled": N_("scheduled"),
    "running": N_("running"),
    "finished": N_("finished"),
    "canceled": N_("canceled"),
    "deleted": N_("deleted"),
    "": N_("deleted"),
}
# Title and advice of each alert, with its facts as placeholders.
ALERTS: dict[str, tuple[str, str]] = {
    AlertKind.PROVIDER_OUT: (
        N_("The provider is out"),
        N_("No POST was answered within a minute. The senders try on, and sending continues by itself."),
    ),
    AlertKind.SENDERS_GONE: (
        N_("No sender runs"),
        N_("No sender takes jobs from RabbitMQ. Nothing is lost, but nothing is sent. Start a sender."),
    ),
    AlertKind.MAILING_LATE: (
        N_("Mailing %(subject)s will not finish before its end"),
        N_("At this speed, %(unsent)s messages will not be sent. Raise its rate, start senders, or move its end."),
    ),
    AlertKind.MAILING_PAUSED: (
        N_("Mailing %(subject)s is still paused"),
        N_("Its messages wait until somebody resumes it. Those that are not sent before its end expire."),
    ),
    AlertKind.MESSAGES_FAIL: (
        N_("Too many messages fail"),
        N_(
            "%(failed)s of %(ended)s messages failed within ten minutes. The attempts show the provider’s answers."
        ),
    ),
    AlertKind.DEAD_LETTERS: (
        N_("%(subject)s has messages that no service could handle"),
        N_("There are %(messages)s of them. List them with mailing dead-letters."),
    ),
    AlertKind.CLOCK_OFF: (
        N_("Clocks differ"),
        N_(
            "A notifier and PostgreSQL differ by %(seconds)s seconds. Keep the clocks of all hosts in step by NTP."
        ),
    ),
    AlertKind.WEBHOOK_OFF: (
        N_("Webhook %(subject)s is switched off"),
        N_("It failed for a day, or its receiver is gone: %(because)s. Switch it on when the receiver works."),
    ),
    AlertKind.DATABASE_LARGE: (
        N_("The database is large"),
        N_("It has %(bytes)s bytes. Give PostgreSQL more room, or delete old mailings."),
    ),
}
