"""The circuit breaker judges the provider, and suspends a mailing that fails alone."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.breaker import LONGEST_PAUSE, Breaker, Passage, Sign

MAILING, OTHER, THIRD = 1, 2, 3


def breaker_with(*signs: tuple[int, Sign], at: float = 100.0) -> Breaker:
    breaker = Breaker(threshold=3, probe_every=1.0)
    for mailing_id, sign in signs:
        breaker.learn(mailing_id, sign, at)
    return breaker


@pytest.mark.parametrize("sign", [Sign.OUT, Sign.FAILED])
def test_it_opens_after_so_many_failures_in_a_row(sign: Sign) -> None:
    assert not breaker_with(*[(MAILING, sign)] * 2).is_out
    breaker = breaker_with(*[(MAILING, sign)] * 3)
    assert breaker.is_out
    assert breaker.passage(MAILING, 100.5) is Passage.BLOCKED


@pytest.mark.parametrize("sign", [Sign.OUT, Sign.FAILED])
def test_a_success_in_between_begins_the_count_anew(sign: Sign) -> None:
    failed = (MAILING, sign)
    assert not breaker_with(failed, failed, (MAILING, Sign.ALIVE), failed, failed).is_out


def test_failures_that_say_nothing_do_not_count() -> None:
    assert not breaker_with(*[(MAILING, Sign.NONE)] * 10).is_out


@pytest.mark.parametrize("sign", [Sign.OUT, Sign.FAILED])
def test_while_it_is_open_only_a_probe_goes_every_so_often(sign: Sign) -> None:
    breaker = breaker_with(*[(MAILING, sign)] * 3)
    admitted = [breaker.admits(MAILING, 100.0 + tenth / 10) for tenth in range(31)]
    assert [index for index, is_admitted in enumerate(admitted) if is_admitted] == [10, 20, 30]


@pytest.mark.parametrize("sign", [Sign.OUT, Sign.FAILED])
def test_one_success_closes_it(sign: Sign) -> None:
    breaker = breaker_with(*[(MAILING, sign)] * 3)
    breaker.learn(MAILING, Sign.ALIVE, 101.0)
    assert not breaker.is_out
    assert breaker.passage(MAILING, 101.0) is Passage.FREE


@pytest.mark.parametrize("sign", [Sign.OUT, Sign.FAILED])
def test_a_probe_that_fails_leaves_it_open(sign: Sign) -> None:
    breaker = breaker_with(*[(MAILING, sign)] * 3)
    assert breaker.admits(MAILING, 101.0)
    breaker.learn(MAILING, sign, 101.1)
    assert not breaker.admits(MAILING, 101.5)
    assert breaker.admits(MAILING, 102.2)


def test_an_outage_blocks_every_mailing() -> None:
    breaker = breaker_with((MAILING, Sign.OUT), (OTHER, Sign.OUT), (THIRD, Sign.OUT))
    assert breaker.passage(99, 100.5) is Passage.BLOCKED


def test_a_mailing_that_fails_alone_blocks_no_other() -> None:
    breaker = breaker_with(*[(MAILING, Sign.FAILED)] * 50)
    assert breaker.passage(OTHER, 100.1) is Passage.FREE
    breaker.learn(OTHER, Sign.ALIVE, 100.2)
    assert not breaker.is_out
    assert breaker.is_suspended(MAILING)
    assert not breaker.is_suspended(OTHER)
    assert breaker.passage(MAILING, 100.5) is Passage.BLOCKED


def test_many_mailings_that_fail_without_a_success_are_the_provider() -> None:
    breaker = breaker_with(*[(mailing_id, Sign.FAILED) for mailing_id in (1, 2, 3) for _ in range(3)])
    assert breaker.passage(99, 100.5) is Passage.BLOCKED
    assert breaker.passage(99, 101.5) is Passage.PROBE
    breaker.learn(99, Sign.ALIVE, 101.6)
    assert breaker.passage(99, 101.7) is Passage.FREE
    assert breaker.passage(1, 100.5) is Passage.BLOCKED


def test_a_mailing_backs_off_while_others_succeed() -> None:
    breaker = breaker_with(*[(MAILING, Sign.FAILED)] * 3)
    now, probes = 100.0, []
    while now < 160:
        now = round(now + 0.1, 1)
        breaker.learn(OTHER, Sign.ALIVE, now)
        if breaker.admits(MAILING, now):
            probes.append(now)
            breaker.learn(MAILING, Sign.FAILED, now)
    pauses = [later - earlier for earlier, later in itertools.pairwise(probes)]
    assert pauses == sorted(pauses)
    assert pauses[0] == pytest.approx(2, abs=0.11)
    assert pauses[-1] == pytest.approx(LONGEST_PAUSE, abs=0.11)


def test_a_mailing_that_fails_while_nothing_else_is_sent_is_probed_every_second() -> None:
    breaker = breaker_with(*[(MAILING, Sign.FAILED)] * 3)
    probes = 0
    for tenth in range(1, 101):
        if breaker.admits(MAILING, 100 + tenth / 10):
            probes += 1
            breaker.learn(MAILING, Sign.FAILED, 100 + tenth / 10)
    assert probes == 10


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from(Sign)), max_size=200))
def test_a_success_frees_its_mailing_whatever_was_before(signs: list[tuple[int, Sign]]) -> None:
    breaker = breaker_with(*signs)
    breaker.learn(MAILING, Sign.ALIVE, 100.0)
    assert not breaker.is_out
    assert breaker.passage(MAILING, 100.0) is Passage.FREE


def test_memory_is_bounded() -> None:
    breaker = breaker_with(*[(mailing_id, Sign.FAILED) for mailing_id in range(5000)])
    assert len(breaker._mailings) <= 1000
