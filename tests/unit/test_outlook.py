"""The forecast of a running mailing: from its course to its end."""

from datetime import UTC, datetime, timedelta

import pytest

from services.api.mailings.limits import LocalWindow
from services.api.mailings.outlook import Course, forecast_of
from services.api.mailings.outlook_queries import Handled
from services.api.mailings.schemas import MailingOut
from tests.unit.test_api_rules import mailing as some_mailing

NOW = datetime(2030, 1, 31, 10, tzinfo=UTC)  # 13:00 in Moscow, 16:00 in Omsk
HALF_A_MINUTE = timedelta(seconds=30)


def mailing(**changes: object) -> MailingOut:
    return some_mailing().model_copy(update={"expired_at": NOW + timedelta(hours=1), **changes})


def course(recent: int, *, most: int = 0, **zones: int) -> Course:
    left = {name.replace("_", "/"): messages for name, messages in zones.items()}
    return Course(Handled(recent, most), HALF_A_MINUTE, left or {"": 36_000})


def test_a_mailing_ends_when_its_speed_says() -> None:
    found = forecast_of(mailing(), course(600), None, NOW)
    assert found.rate == 20
    assert found.finish == NOW + timedelta(minutes=30)
    assert found.late == 0


def test_messages_that_the_speed_does_not_reach_are_late() -> None:
    found = forecast_of(mailing(), course(150), None, NOW)
    assert (found.rate, found.late, found.finish) == (5, 18_000, NOW + timedelta(hours=1))


@pytest.mark.parametrize(("rate", "late"), [(None, None), (20.0, 0)])
def test_where_nothing_is_sent_a_limit_says_how_fast_it_can_go_on(rate: float | None, late: int | None) -> None:
    found = forecast_of(mailing(), course(0), rate, NOW)
    assert (found.rate, found.late, found.finish is None) == (0, late, rate is None)


def test_those_whose_window_does_not_open_in_time_are_late() -> None:
    window = LocalWindow.model_validate({"from": "15:00", "until": "18:00"})
    asleep = course(0, most=1000, Europe_Moscow=50, Asia_Omsk=5000)
    found = forecast_of(mailing(window=window), asleep, None, NOW)
    assert (found.late, found.finish) == (50, NOW + timedelta(seconds=50))


def test_nothing_is_left_to_foresee_at_the_end() -> None:
    assert forecast_of(mailing(), Course(Handled(600, 0), HALF_A_MINUTE, {"": 0}), None, NOW).finish is None
    assert forecast_of(mailing(expired_at=NOW), course(600), None, NOW).late == 36_000
