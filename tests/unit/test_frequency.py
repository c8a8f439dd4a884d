"""Limits of what one person gets, against an oracle that plays every day by the hour."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.frequency import Cap, EarlierMessage, why_enough
from shared.statuses import Reason

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

days = st.integers(1, 6)
caps = st.one_of(
    st.builds(Cap, st.integers(1, 4), days, st.none() | days), st.builds(Cap, st.none(), st.none(), days)
)
earlier = st.lists(
    st.builds(
        EarlierMessage,
        id=st.integers(1, 100),
        at=st.integers(0, 7 * 24).map(lambda hours: NOW - hours * HOUR),
        is_marketing=st.booleans(),
        is_same_text=st.booleans(),
    ),
    max_size=8,
)


def slowly(cap: Cap, messages: list[EarlierMessage]) -> Reason | None:
    """Go back hour by hour, and count what the person got."""
    marketing = 0
    for hours in range(7 * 24 + 1):
        for message in messages:
            if message.at != NOW - hours * HOUR:
                continue
            if cap.no_repeat and hours < cap.no_repeat * 24 and message.is_same_text:
                return Reason.REPEATED
            marketing += cap.days is not None and hours < cap.days * 24 and message.is_marketing
    return Reason.CAPPED if cap.messages and marketing >= cap.messages else None


@given(caps, earlier)
def test_people_get_no_more_than_the_cap_allows(cap: Cap, messages: list[EarlierMessage]) -> None:
    assert why_enough(cap, messages, NOW) == slowly(cap, messages)


@given(caps, earlier)
def test_messages_from_before_a_cap_looks_back_do_not_matter(cap: Cap, messages: list[EarlierMessage]) -> None:
    recent = [message for message in messages if message.at > NOW - cap.looks_back]
    assert why_enough(cap, messages, NOW) == why_enough(cap, recent, NOW)
