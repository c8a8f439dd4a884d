"""Stop list: numbers that must not be written to, and which kinds of messages each entry holds back. Pure."""

from enum import StrEnum


class MailingKind(StrEnum):
    """Kind of a mailing or a single message."""

    MARKETING = "marketing"  # needs the person's consent
    SERVICE = "service"  # something that the person waits for, such as a code or the state of an order


class StopScope(StrEnum):
    """Kinds of messages that an entry of the stop list holds back."""

    MARKETING = "marketing"
    ALL = "all"


def kinds_held_back(scope: StopScope) -> frozenset[MailingKind]:
    """Return the kinds of messages that an entry with this scope holds back."""
    return frozenset(MailingKind) if scope is StopScope.ALL else frozenset({MailingKind.MARKETING})


# The same rule in SQL, for a row of `stops` that may be missing and a row of `mailings`.
IS_HELD_BACK = "coalesce(stops.scope = 'all' OR mailings.kind = 'marketing' AND stops.scope IS NOT NULL, false)"
