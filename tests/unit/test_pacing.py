"""The timetable: no limit is exceeded in any second, hardly anything of it is left unused, nobody is forgotten."""

import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.planner.pacing import AHEAD, CATCH_UP, LEAD, MAX_EXCESS, STEP, Demand, Limit, Rank, spread, timetable
from shared.pacing import FILL
from tests.rules.arrivals import worst_second

NOW = 1_790_000_000.0

rates = st.floats(0.5, 2_000)
demands = st.dictionaries(
    st.integers(1, 20),
    st.builds(
        Demand,
        messages=st.integers(0, 60),
        limit=st.none() | st.builds(Limit, rate=rates, next_slot_at=st.floats(NOW - 5, NOW + 1)),
        rank=st.sampled_from(Rank),
    ),
    min_size=1,
    max_size=6,
)


def test_without_any_limit_there_are_no_slots() -> None:
    assert timetable({1: Demand(5)}, None, NOW).slots == {}


def test_slots_are_evenly_spaced_from_when_the_limit_is_free() -> None:
    times = timetable({1: Demand(3, Limit(10, NOW + 1))}, None, NOW)
    assert times.slots[1] == pytest.approx([NOW + 1, NOW + 1 + 0.1 / FILL, NOW + 1 + 0.2 / FILL])
    assert times.limits[1].next_slot_at == pytest.approx(NOW + 1 + 0.3 / FILL)


def test_nothing_is_saved_up_while_nobody_sends() -> None:
    times = timetable({1: Demand(2, Limit(10, NOW - 3_600))}, None, NOW)
    assert times.slots[1][0] == NOW + LEAD


def test_mailings_that_begin_together_do_not_have_their_slots_at_the_same_instant() -> None:
    later = spread({1: Limit(1, NOW - 60), 2: Limit(1, NOW), 3: Limit(1, NOW + 5)}, NOW + LEAD)
    assert [limit.next_slot_at for limit in later.values()] == [NOW + LEAD, NOW + LEAD + STEP, NOW + 5]


def test_what_is_sent_on_its_own_goes_first_and_mailings_take_turns() -> None:
    half = Limit(50)
    times = timetable({1: Demand(2, half), 2: Demand(2, half), 3: Demand(1, rank=Rank.SINGLE)}, Limit(100), NOW)
    order = sorted((slot, mailing) for mailing, slots in times.slots.items() for slot in slots)
    assert [mailing for _, mailing in order] == [3, 1, 2, 1, 2]


@given(demands, st.builds(Limit, rate=rates, next_slot_at=st.floats(NOW - 5, NOW + 1)))
def test_everybody_gets_slots_within_all_limits(wanted: dict[int, Demand], provider: Limit) -> None:
    times = timetable(wanted, provider, NOW)
    assert {mailing: len(slots) for mailing, slots in times.slots.items()} == {
        mailing: demand.messages for mailing, demand in wanted.items()
    }
    taken = sorted(itertools.chain.from_iterable(times.slots.values()))
    gaps = [later - earlier for earlier, later in itertools.pairwise(taken)]
    assert all(gap >= provider.spacing * 0.999 for gap in gaps)
    assert all(slot >= max(NOW + LEAD, provider.next_slot_at) for slot in taken)
    assert times.provider is not None
    assert not taken or times.provider.next_slot_at >= taken[-1] + provider.spacing * 0.999
    assert not set(times.provider.left_over) & set(taken)
    for mailing, demand in wanted.items():
        slots = times.slots[mailing]
        if demand.limit is not None and slots:
            assert slots[0] >= demand.limit.next_slot_at
            # One that had to wait for its turn may be so much closer to the next.
            arrears = (provider.spacing if demand.rank is Rank.LIMITED else CATCH_UP) + 1e-6
            own = [later - earlier for earlier, later in itertools.pairwise(slots)]
            assert all(gap >= demand.limit.spacing - arrears for gap in own)
            assert times.limits[mailing].next_slot_at >= slots[-1] + demand.limit.spacing - arrears


def test_what_one_has_no_use_for_is_left_for_others() -> None:
    provider = Limit(300)
    slow = timetable({1: Demand(10, Limit(100), Rank.LIMITED)}, provider, NOW)
    assert slow.provider is not None
    both = timetable({2: Demand(18)}, slow.provider, NOW + 0.001)
    together = sorted(slow.slots[1] + both.slots[2])
    assert [later - earlier for earlier, later in itertools.pairwise(together)] == pytest.approx(
        [provider.spacing] * 27, rel=1e-3
    )


@settings(deadline=None)
@given(st.floats(1, 3_000))
def test_however_late_posts_are_no_second_goes_beyond_the_limit(rate: float) -> None:
    limit = Limit(rate)
    (slots,) = timetable({1: Demand(int(rate * 3) + 2, limit)}, None, NOW).slots.values()
    for stalled in (0.3, 0.5, 1.0):  # up to then everything is as late as it may be, and comes at once
        late = [max(slot, min(slot + limit.slot_lasts, slots[0] + stalled)) for slot in slots]
        assert worst_second(late) <= max(MAX_EXCESS * rate, math.ceil(rate))


@given(st.floats(0.5, 2_000), st.floats(0, 0.3))
def test_turn_by_turn_the_limit_is_used(rate: float, pause: float) -> None:
    limit, now, slots = Limit(rate), NOW, 0
    for _ in range(30):
        times = timetable({1: Demand(limit.budget(now), limit)}, None, now)
        slots += len(times.slots[1])
        limit = times.limits[1]
        now += pause
    assert limit.next_slot_at >= now + LEAD + AHEAD - pause - limit.spacing
    assert slots == pytest.approx((limit.next_slot_at - NOW - LEAD) * rate * FILL, rel=1e-4)
