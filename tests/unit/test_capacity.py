"""Work with the senders: about two seconds of it, for every speed of the provider and number of mailings."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.planner.capacity import Bounds, Done, room_without_limit, shares_with_limit
from services.planner.conditions import ReleaseConditions
from services.planner.pacing import Limit

TWO_SECONDS = timedelta(seconds=2)
BOUNDS = Bounds(TWO_SECONDS, chunk=100, least=400)


def test_while_the_speed_is_unknown_there_are_a_few_jobs() -> None:
    assert room_without_limit(Done(0, TWO_SECONDS), 0, BOUNDS, senders=2) == 400
    assert room_without_limit(Done(0, TWO_SECONDS), 400, BOUNDS, senders=2) == 0


def test_a_slow_provider_has_what_it_did_in_two_seconds_and_a_job_for_each_sender() -> None:
    assert room_without_limit(Done(300, TWO_SECONDS), 0, BOUNDS, senders=1) == 400
    assert room_without_limit(Done(300, timedelta(seconds=10)), 0, BOUNDS, senders=1) == 160


@given(st.integers(10, 5_000), st.integers(1, 8))
def test_the_work_with_the_senders_settles_at_its_bound_at_every_speed(speed: int, senders: int) -> None:
    outstanding, history = 0, [0] * 20
    for _ in range(400):  # rounds of 0.1 s
        done = min(outstanding, speed // 10 or 1)
        outstanding -= done
        history = [*history[1:], done]
        outstanding += max(0, room_without_limit(Done(sum(history), TWO_SECONDS), outstanding, BOUNDS, senders))
    assert 2 * speed * 0.9 <= outstanding + history[-1] <= 2.2 * speed + max(400, 100 * senders)


def test_the_mailings_with_the_first_slots_get_them_in_a_bounded_number_of_jobs() -> None:
    limits = {1: Limit(1, 50.0), 2: Limit(1, 40.0), 3: Limit(1_000, 45.0)}
    assert shares_with_limit(limits, {1: 2, 2: 2, 3: 500}, chunk=100, jobs=5) == {2: 2, 3: 300}


def test_a_round_that_takes_longer_is_believed_at_once_and_a_shorter_one_slowly() -> None:
    conditions = ReleaseConditions()
    conditions.round_ended(1.0, 0.5, jobs=100)
    assert (conditions.delay, conditions.job_takes) == (1.0, 0.005)
    conditions.round_ended(0.5, 0.01, jobs=1)
    assert (conditions.delay, conditions.job_takes) == (0.9, 0.005)
