"""Circuit breaker: it opens, admits probes, and closes."""

import pytest

from services.sender.breaker import Breaker
from services.sender.judging import ACCEPTED, Verdict
from shared.contracts import Outcome

DOWN = Verdict(Outcome.DEFERRED, None, "connection refused")
ERROR = Verdict(Outcome.UNCERTAIN, 500, "oops")
BUSY = Verdict(Outcome.DEFERRED, 429, "slow down", 1.0)


def opened(at: float = 100.0) -> Breaker:
    breaker = Breaker(threshold=3, probe_every=1.0)
    for _ in range(3):
        breaker.learn(DOWN, at)
    return breaker


def test_it_opens_after_enough_failures_in_a_row_and_says_so_once() -> None:
    breaker = Breaker(threshold=3, probe_every=1.0)
    assert [breaker.learn(verdict, 0.0) for verdict in (DOWN, ERROR, DOWN, DOWN)] == [False, False, True, False]
    assert breaker.is_open


def test_a_success_in_between_resets_the_count() -> None:
    breaker = Breaker(threshold=3, probe_every=1.0)
    for verdict in (DOWN, DOWN, ACCEPTED, DOWN, DOWN):
        breaker.learn(verdict, 0.0)
    assert not breaker.is_open


def test_while_it_is_open_one_probe_is_admitted_in_each_interval() -> None:
    breaker = opened(at=100.0)
    admitted = [breaker.admits(100.0 + tenth / 10) for tenth in range(31)]
    assert [index for index, go in enumerate(admitted) if go] == [10, 20, 30]


def test_one_success_closes_it() -> None:
    breaker = opened()
    assert breaker.learn(ACCEPTED, 101.0) is True
    assert breaker.admits(101.0)


def test_a_probe_that_fails_leaves_it_open() -> None:
    breaker = opened(at=100.0)
    assert breaker.admits(101.0)
    assert breaker.learn(ERROR, 101.1) is False
    assert not breaker.admits(101.5)


@pytest.mark.parametrize("verdict", [BUSY, Verdict(Outcome.REJECTED, 400, "no")])
def test_a_provider_that_is_busy_or_refuses_a_message_is_not_out(verdict: Verdict) -> None:
    breaker = Breaker(threshold=3, probe_every=1.0)
    for _ in range(10):
        breaker.learn(verdict, 0.0)
    assert not breaker.is_open


def test_a_token_that_is_refused_counts_as_an_outage() -> None:
    breaker = Breaker(threshold=3, probe_every=1.0)
    for _ in range(3):
        breaker.learn(Verdict(Outcome.DEFERRED, 401, "bad token"), 0.0)
    assert breaker.is_open
