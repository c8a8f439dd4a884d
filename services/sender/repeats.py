"""Quick repeats: which POST is repeated in place, and when. Pure.

A failure that may be over in a moment is repeated in place a few times. The planner's schedule is for the others.
"""

from services.sender.verdict import Verdict
from shared.contracts import Outcome

# A failure that took longer than this is no hiccup. To repeat it in place would only delay other messages.
QUICK_MS = 1_000
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0  # seconds


class RepeatPolicy:
    """Rules for repeating a POST."""

    def __init__(self, *, most: int, is_idempotent: bool) -> None:
        self._most = most
        self._repeatable = {Outcome.DEFERRED, Outcome.UNCERTAIN} if is_idempotent else {Outcome.DEFERRED}

    def allows(self, verdict: Verdict, posts: int, duration_ms: int, *, has_slot: bool) -> bool:
        """Return True if a repeatable POST failed quickly, and the provider named no time to come back.

        A message with a slot would need another slot.
        """
        return (
            posts <= self._most
            and verdict.outcome in self._repeatable
            and verdict.retry_after is None
            and duration_ms < QUICK_MS
            and not has_slot
        )


def pause_before_repeat(posts: int, chance: float) -> float:
    """Return the seconds to wait after so many POSTs; `chance` in [0, 1) spreads the repeats."""
    longest: float = min(FIRST_PAUSE * 2.0 ** (posts - 1), LONGEST_PAUSE)
    return longest * chance
