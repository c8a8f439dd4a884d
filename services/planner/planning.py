"""Planning by local windows: when a job is due, and why a job was never released. Pure.

A job of a mailing with a window has clients of one zone. It is planned for an opening of the window there. The
mailing's end bounds it in any case, and can be moved; so the plan does not depend on it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.ledger.dealing import ZonePlan
from shared.statuses import Reason
from shared.windows import Window, is_open, next_opening
from shared.zones import find_zone

# After this time, a zone that tzdata does not know is looked up again: an update of tzdata may have brought it.
HOLD = timedelta(minutes=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class JobPlan:
    """Time from which a job is due, and the end of its local window, if there is a window."""

    due_at: datetime
    send_before: datetime | None = None

    @property
    def is_held(self) -> bool:
        """True for a job that is never released, because it ends before it is due: its zone is not known."""
        return self.send_before is not None and self.send_before <= self.due_at


def plan_job(window: Window | None, zone: str | None, not_before: datetime) -> JobPlan:
    """Return the plan of a job that may be released from `not_before` on.

    Without a zone, its clients may be in several: it is due at once, and sorted by zone when it is released.
    """
    if window is None or zone is None:
        return JobPlan(not_before)
    known = find_zone(zone)
    if known is None:
        return JobPlan(not_before + HOLD, not_before + HOLD)
    opening = next_opening(window, known, not_before)
    return JobPlan(opening.begins, opening.ends)


def plan_zones(window: Window | None, zones: Iterable[str], not_before: datetime) -> list[ZonePlan]:
    """Return the plans of jobs by zone; without a window, one plan for the empty zone."""
    if window is None:
        return [ZonePlan("", not_before, None)]
    plans = {zone: plan_job(window, zone, not_before) for zone in zones}
    return [ZonePlan(zone, plan.due_at, plan.send_before) for zone, plan in plans.items()]


def why_expired(window: Window | None, zone: str | None, expired_at: datetime) -> Reason:
    """Return the reason why a job for this zone was not released before its mailing's end."""
    if window is None or zone is None:
        return Reason.END
    known = find_zone(zone)
    if known is None:
        return Reason.ZONE
    return Reason.END if is_open(window, known, expired_at - _INSTANT) else Reason.WINDOW
