"""Answers of the stand-in provider about the messages that it received."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.sandbox.ledger import Ledger, Second

PHONE = 79057003050


def ledger_of(*arrivals: tuple[int, float, bool]) -> Ledger:
    """A ledger that received (id, instant, taken) one after another."""
    ledger = Ledger()
    for message_id, now, taken in arrivals:
        ledger.arrive(message_id, PHONE + message_id, now)
        if taken:
            ledger.accept(message_id)
    return ledger


def test_an_empty_ledger_has_answers() -> None:
    ledger = Ledger()
    assert (ledger.totals().received, ledger.totals().first_at) == (0, None)
    assert (ledger.seconds().seconds, ledger.seconds().worst_window) == ([], 0)
    assert (ledger.page(0, 10).items, ledger.page(0, 10).next) == ([], None)


def test_totals_tell_repeats_from_second_acceptances() -> None:
    ledger = ledger_of((1, 10.0, True), (2, 10.5, False), (2, 11.0, True), (3, 12.0, True), (3, 13.0, True))
    totals = ledger.totals()
    assert (totals.received, totals.unique, totals.duplicated) == (5, 3, 2)
    assert (totals.accepted, totals.accepted_again) == (3, 1)
    assert (totals.first_at, totals.last_at) == (10.0, 13.0)


def test_a_record_tells_first_and_last_time_and_how_often() -> None:
    received = ledger_of((7, 10.0, False), (7, 12.5, True)).message(7)
    assert received is not None
    assert (received.phone, received.count, received.times_accepted) == (PHONE + 7, 2, 1)
    assert (received.accepted, received.first_at, received.last_at) == (True, 10.0, 12.5)


def test_pages_follow_the_ids_whatever_the_order_of_arrival() -> None:
    ledger = ledger_of(*((message_id, 10.0, True) for message_id in (5, 1, 9, 3, 7)))
    first = ledger.page(0, 2)
    second = ledger.page(first.next or 0, 3)
    assert ([item.id for item in first.items], first.next) == ([1, 3], 3)
    assert ([item.id for item in second.items], second.next) == ([5, 7, 9], None)


def test_a_page_may_show_only_what_was_repeated() -> None:
    ledger = ledger_of((1, 1.0, True), (2, 1.0, True), (3, 1.0, True), (3, 2.0, True), (1, 2.0, True))
    page = ledger.page(0, 1, repeated_only=True)
    assert ([item.id for item in page.items], page.next) == ([1], 1)
    assert [item.id for item in ledger.page(1, 1, repeated_only=True).items] == [3]


def test_the_worst_second_is_found_across_the_borders_of_the_clocks_seconds() -> None:
    ledger = ledger_of(*((number, at, True) for number, at in enumerate([0.0, 0.7, 0.8, 1.5, 1.6, 2.9])))
    seconds = ledger.seconds()
    assert seconds.seconds == [Second(0, 3), Second(1, 2), Second(2, 1)]
    assert (seconds.worst_window, seconds.worst_window_at) == (4, 0.7)


def test_a_window_is_half_open() -> None:
    assert ledger_of((1, 5.0, True), (2, 6.0, True)).seconds().worst_window == 1


@given(st.lists(st.floats(0, 5), max_size=60).map(sorted))
def test_the_worst_second_is_what_a_search_through_all_arrivals_finds(arrivals: list[float]) -> None:
    worst = ledger_of(*((1, at, True) for at in arrivals)).seconds().worst_window
    assert worst == max((sum(at - 1 < other <= at for other in arrivals) for at in arrivals), default=0)


@pytest.mark.parametrize("message_id", [0, 2**63 - 1])
def test_ids_at_the_ends_of_int64_are_kept(message_id: int) -> None:
    ledger = Ledger()
    ledger.arrive(message_id, -(2**63), 1.0)
    received = ledger.message(message_id)
    assert received is not None
    assert received.phone == -(2**63)


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    ledger = ledger_of((1, 1.0, True), (1, 2.0, True))
    ledger.forget()
    assert ledger.totals() == Ledger().totals()
    assert ledger.seconds() == Ledger().seconds()
    assert ledger.message(1) is None
