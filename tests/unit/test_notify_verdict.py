"""The verdict of `make notify`."""

import pytest

from tests.notify.verdict import Copy, judge

FIRST = Copy("a", "one", 10.0)


@pytest.mark.parametrize(
    ("copies", "kills", "missing", "repeated"),
    [
        ([FIRST], {}, 0, 0),
        ([], {}, 1, 0),
        ([FIRST, Copy("a", "two", 30.0)], {}, 0, 1),
        ([FIRST, Copy("a", "two", 30.0)], {"one": 10.1}, 0, 0),
        ([FIRST, Copy("a", "two", 30.0)], {"one": 20.0}, 0, 1),  # it had recorded it long before
        ([FIRST, Copy("a", "two", 30.0)], {"two": 30.1}, 0, 1),
        ([FIRST, Copy("a", "two", 30.0), Copy("a", "three", 50.0)], {"one": 10.1}, 0, 1),
    ],
)
def test_a_copy_is_excused_by_the_death_of_its_sender_only(
    copies: list[Copy], kills: dict[str, float], missing: int, repeated: int
) -> None:
    verdict = judge(["a"], copies, kills, ["1 x"], ["1 x"])
    assert (verdict.reports_missing, verdict.reports_repeated_without_crash) == (missing, repeated)


def test_a_lost_event_is_counted_for_each_webhook() -> None:
    verdict = judge([], [], {}, ["1 x", "2 x"], ["1 x"])
    assert verdict.webhooks_lost == 1
    assert not verdict.is_good
    assert verdict.line() == "reports_missing=0 reports_repeated_without_crash=0 webhooks_lost=1"
