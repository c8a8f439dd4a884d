"""The room with the senders is shared so that every running mailing gets its part."""

from hypothesis import given
from hypothesis import strategies as st

from services.planner.sharing import share_out, share_rate

outstanding = st.dictionaries(st.integers(1, 50), st.integers(0, 10_000), max_size=20)


def test_one_mailing_gets_all_the_room() -> None:
    assert share_out(500, {1: 0}) == {1: 500}


def test_mailings_that_have_as_much_share_equally() -> None:
    assert share_out(300, {1: 100, 2: 100, 3: 100}) == {1: 100, 2: 100, 3: 100}


def test_a_newcomer_is_brought_up_to_the_others_first() -> None:
    assert share_out(300, {1: 1_000, 2: 0}) == {2: 300}
    assert share_out(1_400, {1: 1_000, 2: 0}) == {1: 200, 2: 1_200}


def test_without_room_nobody_gets_anything() -> None:
    assert share_out(0, {1: 0}) == {}
    assert share_out(-5, {1: 0}) == {}
    assert share_out(100, {}) == {}


@given(st.integers(1, 100_000), outstanding)
def test_the_room_is_used_and_the_lowest_are_level(room: int, counts: dict[int, int]) -> None:
    shares = share_out(room, counts)
    if not counts:
        return
    # Levels are whole messages: rounding up may give one message too much to each.
    assert room <= sum(shares.values()) < room + len(counts)
    levels = {counts[mailing] + share for mailing, share in shares.items()}
    assert len(levels) == 1
    assert all(counts[mailing] >= min(levels) for mailing in counts.keys() - shares.keys())


def test_a_rate_is_shared_equally_but_for_those_who_may_not_have_as_much() -> None:
    assert share_rate(300, {1: None, 2: None, 3: None}) == {1: 100, 2: 100, 3: 100}
    assert share_rate(300, {1: 50, 2: None, 3: None}) == {1: 50, 2: 125, 3: 125}
    assert share_rate(300, {1: 50, 2: 100, 3: None}) == {1: 50, 2: 100, 3: 150}
    assert share_rate(300, {1: 10, 2: 20}) == {1: 10, 2: 20}
    assert share_rate(300, {}) == {}
