"""Waiting limits of tests."""

import pytest

from tests.patience import Patience


@pytest.mark.parametrize(("load", "limit"), [(0.5, 10), (2, 10), (4, 20), (20, 50), (100, 50)])
def test_a_limit_grows_with_the_load_on_two_cores_up_to_five_times(load: float, limit: int) -> None:
    seconds = iter(range(1000))
    patience = Patience(10, load=lambda: load, clock=lambda: next(seconds), cores=2)
    while not patience.is_over():
        pass
    assert limit <= patience.waited <= limit + 1  # by rounding


def test_the_load_counts_while_it_lasts() -> None:
    seconds, loads = iter(range(1000)), iter([8.0, 8.0, 8.0, 8.0] + [1.0] * 100)
    patience = Patience(10, load=lambda: next(loads), clock=lambda: next(seconds), cores=2)
    while not patience.is_over():
        pass
    assert patience.waited == 4 + 9
