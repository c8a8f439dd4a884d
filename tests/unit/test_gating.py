"""Rules that are checked immediately before every POST."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.gating import (
    EXPIRED,
    LATE,
    LEASE_OVER,
    SHUTDOWN,
    STOPPED,
    JobDeadlines,
    Obstacle,
    StoppedMailings,
    find_obstacle,
    time_allowed,
)
from shared.contracts import Job, JobMessage

DEADLINES = JobDeadlines(send_before=1_000.0, lease_until=900.0)


def find(
    now: float, *, is_stopped: bool = False, is_shutdown: bool = False, latest: float = 2_000.0
) -> Obstacle | None:
    return find_obstacle(
        DEADLINES, now=now, guard=0.1, is_stopped=is_stopped, is_shutdown=is_shutdown, latest=latest
    )


def job(revision: int) -> Job:
    return Job(
        job_id=1,
        release=1,
        mailing_id=7,
        revision=revision,
        text="hello",
        send_before=datetime(2100, 1, 1, tzinfo=UTC),
        lease_until=datetime(2100, 1, 1, tzinfo=UTC),
        messages=(JobMessage(1, 79_050_000_000),),
    )


def test_nothing_is_against_a_post_in_time() -> None:
    assert find(899.9) is None


def test_no_post_begins_within_the_guard_before_the_deadline() -> None:
    assert find(999.91) == EXPIRED
    assert find(1_000.0) == EXPIRED
    assert find(2_000.0) == EXPIRED


def test_no_post_begins_when_the_lease_of_the_job_is_over() -> None:
    assert find(900.0) == LEASE_OVER


def test_no_post_begins_when_its_mailing_is_stopped() -> None:
    assert find(1.0, is_stopped=True) == STOPPED


def test_no_post_begins_when_the_sender_is_stopping() -> None:
    assert find(1.0, is_shutdown=True) == SHUTDOWN


def test_no_post_begins_after_the_end_of_its_slot() -> None:
    assert find(10.0, latest=10.0) is None
    assert find(10.1, latest=10.0) == LATE


@pytest.mark.parametrize("revisions", [[3], [3, 3], [3, 2], [2, 3]])
def test_a_stop_concerns_jobs_that_were_released_before_it_and_no_later_ones(revisions: list[int]) -> None:
    stopped = StoppedMailings()
    assert not stopped.includes(job(0))
    for revision in revisions:
        stopped.add({7: revision, 8: 99})
    assert [stopped.includes(job(revision)) for revision in (2, 3, 4)] == [True, False, False]


@given(st.floats(0, 999.9))
def test_a_request_near_its_deadline_ends_at_the_deadline(now: float) -> None:
    allowed = time_allowed(DEADLINES, now=now, request_timeout=5.0, connect_timeout=2.0)
    assert 0 < allowed <= 5.0
    # A request can be connecting until then at most, which is before the deadline.
    assert now + min(allowed, 2.0) <= DEADLINES.send_before + 1e-6
