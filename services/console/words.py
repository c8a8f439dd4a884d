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
