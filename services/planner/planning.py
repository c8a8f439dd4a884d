"""Local windows: when a job may go out, and why it never did. Pure.

A job of a mailing with a window has clients of one zone. It is planned for an opening, whatever the mailing's end:
that bounds it in any case, and can be moved.
"""

from dataclasses import dataclass
from datetime import datetime, time, timedelta

from shared.statuses import Reason
from shared.windows import Window, is_open, next_opening
from shared.zones import find_zone

# A zone that tzdata does not know (any more) is looked up again so often: an update may bring it back.
HOLD = timedelta(minutes=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Plan:
    """When a job is due, and until when. One that is over when it is due is held: it is never released."""

    due_at: datetime
    send_before: datetime | None = None

    @property
    def is_held(self) -> bool:
        return self.send_before is not None and self.send_before <= self.due_at


def window_of(begins: time | None, ends: time | None) -> Window | None:
    """The window of a mailing's two columns."""
    return None if begins is None or ends is None else Window(begins, ends)


def plan(window: Window | None, zone: str | None, not_before: datetime) -> Plan:
    """The plan of a job that may go out from `not_before` on.

    `zone` None: its clients may have several; it is due at once, and sorted by zone when it is released.
    """
    if window is None or zone is None:
        return Plan(not_before)
    known = find_zone(zone)
    if known is None:
        return Plan(not_before + HOLD, not_before + HOLD)
    opening = next_opening(window, known, not_before)
    return Plan(opening.begins, opening.ends)


def why_expired(window: Window | None, zone: str | None, expired_at: datetime) -> Reason:
    """What kept a job of clients in that zone from being released until its mailing's end."""
    if window is None or zone is None:
        return Reason.END
    known = find_zone(zone)
    if known is None:
        return Reason.ZONE
    return Reason.END if is_open(window, known, expired_at - _INSTANT) else Reason.WINDOW
