"""Pauses of the process, and repeats of a POST in place."""

import pytest

from services.sender.pauses import LONGEST_GAP, PauseDetector
from services.sender.repeats import LONGEST_PAUSE, QUICK_MS, RepeatPolicy, pause_before_repeat
from services.sender.verdict import Verdict
from shared.contracts import Outcome


@pytest.mark.parametrize(
    ("wall", "monotonic", "is_pause"),
    [
        (0.2, 0.2, False),
        (LONGEST_GAP, LONGEST_GAP, False),
        (45.0, 45.0, True),  # the process was stopped
        (45.0, 0.0, True),  # the machine was asleep
        (-3600.0, 2.0, True),  # the clock was set back meanwhile
        (-3600.0, 0.2, False),
    ],
)
def test_a_pause_shows_on_either_clock(wall: float, monotonic: float, is_pause: bool) -> None:
    detector = PauseDetector(1000.0, 500.0)
    assert bool(detector.gap(1000.0 + wall, 500.0 + monotonic)) is is_pause
    assert not detector.gap(1000.0 + wall + 0.1, 500.0 + monotonic + 0.1)


DEFERRED = Verdict(Outcome.DEFERRED, None, "refused")
UNCERTAIN = Verdict(Outcome.UNCERTAIN, None, "reset")


@pytest.mark.parametrize(
    ("verdict", "posts", "duration_ms", "has_slot", "is_allowed"),
    [
        (DEFERRED, 1, 5, False, True),
        (DEFERRED, 2, 5, False, True),
        (DEFERRED, 3, 5, False, False),
        (DEFERRED, 1, QUICK_MS, False, False),
        (DEFERRED, 1, 5, True, False),
        (Verdict(Outcome.DEFERRED, 429, "busy", 1.0), 1, 5, False, False),
        (UNCERTAIN, 1, 5, False, True),
        (Verdict(Outcome.REJECTED, 400, "no"), 1, 5, False, False),
        (Verdict(Outcome.ACCEPTED, 200, None), 1, 5, False, False),
    ],
)
def test_a_quick_failure_is_repeated_a_few_times(
    verdict: Verdict, posts: int, duration_ms: int, has_slot: bool, is_allowed: bool
) -> None:
    policy = RepeatPolicy(most=2, is_idempotent=True)
    assert policy.allows(verdict, posts, duration_ms, has_slot=has_slot) is is_allowed


def test_a_provider_that_is_not_idempotent_is_never_asked_again_once_a_byte_may_have_left() -> None:
    policy = RepeatPolicy(most=2, is_idempotent=False)
    assert policy.allows(DEFERRED, 1, 5, has_slot=False)
    assert not policy.allows(UNCERTAIN, 1, 5, has_slot=False)


def test_repeats_are_spread_and_come_within_a_second() -> None:
    assert pause_before_repeat(1, 0.0) == 0
    assert pause_before_repeat(1, 0.5) == pytest.approx(0.05)
    assert pause_before_repeat(50, 1.0) == LONGEST_PAUSE
