"""Whether a message may be POSTed now."""

from hypothesis import given
from hypothesis import strategies as st

from services.sender.gating import EXPIRED, LEASE_OVER, SHUTDOWN, STOPPED, Bounds, Obstacle, obstacle, time_allowed

BOUNDS = Bounds(send_before=1_000.0, lease_until=900.0)


def ask(now: float, *, revision: int = 0, least_revision: int = 0, stopping: bool = False) -> Obstacle | None:
    return obstacle(
        BOUNDS, now=now, guard=0.1, revision=revision, least_revision=least_revision, stopping=stopping
    )


def test_in_time_nothing_speaks_against_a_post() -> None:
    assert ask(899.9) is None


def test_nothing_is_posted_within_the_guard_before_the_deadline() -> None:
    assert ask(999.91) == EXPIRED
    assert ask(1_000.0) == EXPIRED
    assert ask(2_000.0) == EXPIRED


def test_nothing_is_posted_of_a_job_whose_lease_is_over() -> None:
    assert ask(900.0) == LEASE_OVER


def test_a_stop_holds_back_what_was_released_before_it_and_nothing_after() -> None:
    assert ask(1.0, revision=2, least_revision=3) == STOPPED
    assert ask(1.0, revision=3, least_revision=3) is None
    assert ask(1.0, revision=4, least_revision=3) is None


def test_a_sender_that_is_stopping_begins_nothing() -> None:
    assert ask(1.0, stopping=True) == SHUTDOWN


@given(st.floats(0, 999.9))
def test_a_request_near_its_deadline_ends_there(now: float) -> None:
    allowed = time_allowed(BOUNDS, now=now, request_timeout=5.0, connect_timeout=2.0)
    assert 0 < allowed <= 5.0
    # The longest that a request can still be connecting is before the deadline.
    assert now + min(allowed, 2.0) <= BOUNDS.send_before + 1e-6
