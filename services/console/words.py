"""Words for states, statuses, reasons and outcomes, with the colour and the icon that go with them."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.console.rest.answers import Mailing
from services.console.translation import N_
from shared.statuses import MessageStatus


@dataclass(frozen=True, slots=True)
class Word:
    """A word to be translated, and its look."""

    text: str
    colour: str
    icon: str
    explained: str = ""


STATUSES: Mapping[str, Word] = {
    "new": Word(N_("Waiting"), "waiting", "hourglass", N_("Waiting for its time, its turn or its next attempt")),
    "active": Word(N_("With a sender"), "active", "send", N_("Being delivered now")),
    "sent": Word(N_("Sent"), "sent", "check", N_("Accepted by the provider")),
    "failed": Word(N_("Refused"), "failed", "x", N_("Refused by the provider for good")),
    "expired": Word(N_("Too late"), "expired", "clock", N_("Not sent in time")),
    "canceled": Word(N_("Canceled"), "canceled", "ban", N_("Canceled before it was sent")),
    "uncertain": Word(
        N_("Uncertain"),
        "uncertain",
        "alert-triangle",
        N_("The provider gave no clear answer, and may have sent it"),
    ),
}

STATES: Mapping[str, Word] = {
    "scheduled": Word(N_("Scheduled"), "scheduled", "calendar-time"),
    "running": Word(N_("Running"), "running", "player-play"),
    "paused": Word(N_("Paused"), "paused", "player-pause"),
    "finished": Word(N_("Finished"), "finished", "check"),
    "canceled": Word(N_("Canceled"), "canceled", "ban"),
}

ROLES: Mapping[str, Word] = {
    "viewer": Word(N_("Viewer"), "waiting", "search", N_("Reads everything; phone numbers are masked")),
    "operator": Word(N_("Operator"), "active", "edit", N_("Also changes clients and mailings, and sends")),
    "admin": Word(N_("Admin"), "uncertain", "key", N_("Also manages people and programs, and reads the audit")),
}

OUTCOMES: Mapping[str, Word] = {
    "accepted": Word(N_("Accepted by the provider"), "sent", "check"),
    "rejected": Word(N_("Refused by the provider"), "failed", "x"),
    "deferred": Word(N_("Put off: the provider could not take it then"), "expired", "refresh"),
    "uncertain": Word(N_("No clear answer"), "uncertain", "alert-triangle"),
    "expired": Word(N_("Not sent: its time was over"), "expired", "clock"),
}


@dataclass(frozen=True, slots=True)
class Explanation:
    """A reason in words, and what an operator can do about it."""

    text: str
    advice: str


REASONS: Mapping[tuple[str, str], Explanation] = {
    ("failed", "answer"): Explanation(
        N_("The provider refused the message"),
        N_("Read what the provider says. Once the cause is gone, send it to them again."),
    ),
    ("expired", "window"): Explanation(
        N_("Their local window did not open in time"), N_("Send it to them again with a later end.")
    ),
    ("expired", "zone"): Explanation(
        N_("Their time zone is not known"),
        N_("Correct the time zone of these clients, then send it to them again."),
    ),
    ("expired", "end"): Explanation(
        N_("The mailing ended before their turn came"), N_("Send it to them again with a later end.")
    ),
    ("canceled", "cancel"): Explanation(
        N_("The mailing was canceled"), N_("A canceled mailing sends nothing more. Make a new one like it.")
    ),
    ("canceled", "client"): Explanation(
        N_("The client was deleted from the directory"), N_("Nothing is left to do.")
    ),
    ("canceled", "stopped"): Explanation(
        N_("The number is on the stop list"),
        N_("They asked not to be written to. Only take them off the list if they say so."),
    ),
    ("uncertain", "answer"): Explanation(
        N_("The provider gave no clear answer"),
        N_("Some of them may have it. Send it again only if getting it twice does no harm."),
    ),
    ("uncertain", "silence"): Explanation(
        N_("The sender that held the message was lost"),
        N_("Some of them may have it. Send it again only if getting it twice does no harm."),
    ),
}
UNKNOWN_REASON = Explanation(N_("For another reason"), "")


# Events that a webhook can be subscribed to.
WEBHOOK_EVENTS: Mapping[str, str] = {
    "mailing.started": N_("A mailing starts"),
    "mailing.paused": N_("A mailing is paused"),
    "mailing.resumed": N_("A mailing is resumed"),
    "mailing.canceled": N_("A mailing is canceled"),
    "mailing.late": N_("A mailing will be late"),
    "mailing.finished": N_("A mailing has ended"),
    "message.settled": N_("Messages have a final status"),
    "alert.began": N_("An alert begins"),
    "alert.continues": N_("An alert goes on"),
    "alert.ended": N_("An alert is over"),
}
# Alerts of the notifier: a title for each kind, with `subject` as a placeholder.
ALERTS: Mapping[str, str] = {
    "provider_out": N_("The provider is out. Sending continues by itself."),
    "senders_gone": N_("No sender runs, so nothing is sent."),
    "mailing_late": N_("Mailing %(subject)s will not finish before its end."),
    "mailing_paused": N_("Mailing %(subject)s has been paused for long."),
    "messages_fail": N_("Too many messages fail."),
    "dead_letters": N_("The queue %(subject)s has messages that no service could handle."),
    "clock_off": N_("The clocks of two servers differ."),
    "webhook_off": N_("Webhook %(subject)s is switched off, because it failed."),
    "database_large": N_("The database is nearly as large as it may be."),
}


def alert_title(kind: str) -> str:
    """Return the title of an alert; its kind if a later release made it."""
    return ALERTS.get(kind, kind)


def state_of(mailing: Mailing) -> Word:
    """Return the word for a mailing's state. A paused mailing shows that, whatever its state."""
    name = "paused" if mailing.paused and mailing.state in {"scheduled", "running"} else mailing.state
    return STATES.get(name, Word(mailing.state, "finished", "info-circle"))


def explanation_of(status: str, reason: str | None) -> Explanation:
    """Return the words for the reason of a final status."""
    return REASONS.get((status, reason or ""), UNKNOWN_REASON)


def is_over(mailing: Mailing) -> bool:
    """Return True if nothing more happens to the mailing by itself."""
    return mailing.state in {"finished", "canceled"} and not mailing.open


UNSENT_STATUSES = (
    MessageStatus.FAILED,
    MessageStatus.EXPIRED,
    MessageStatus.UNCERTAIN,
    MessageStatus.CANCELED,
)
