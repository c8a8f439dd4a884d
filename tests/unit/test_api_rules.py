"""Rules of what a user may do with a mailing, by its state and times."""

from datetime import UTC, datetime, timedelta

import pytest

from services.api.edge.refusals import Invalid, StateForbids
from services.api.mailings.filters import Filter
from services.api.mailings.limits import LocalWindow
from services.api.mailings.rules import (
    check_cancelable,
    check_pausable,
    check_retriable,
    check_times,
    find_changes,
    has_any,
    narrows,
)
from services.api.mailings.schemas import MailingOut, MessagesStatus
from shared.statuses import MailingState, MessageStatus
from shared.stop_list import MailingKind

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
LIVE = (MailingState.SCHEDULED, MailingState.RUNNING)
OVER = (MailingState.FINISHED, MailingState.CANCELED)


DAYTIME = LocalWindow.model_validate({"from": "09:00", "until": "21:00"})


def mailing(
    state: MailingState = MailingState.SCHEDULED,
    *,
    ends: datetime = NOW + 2 * HOUR,
    window: LocalWindow | None = None,
    rate: float | None = None,
) -> MailingOut:
    return MailingOut(
        id=1,
        created_at=NOW - 5 * HOUR,
        starts_at=NOW - 4 * HOUR,
        expired_at=ends,
        text="hello",
        filter={"tag": ["#x"]},
        window=window,
        rate=rate,
        name=None,
        kind=MailingKind.MARKETING,
        parts=1,
        state=state,
        paused=False,
        stop=None,
        started_at=None,
        finished_at=None,
        messages_status=MessagesStatus(
            new=0, active=0, sent=0, failed=0, expired=0, canceled=0, uncertain=0, total=0
        ),
    )


def test_a_mailing_must_have_a_time_to_send_in() -> None:
    check_times(NOW - HOUR, NOW + HOUR, NOW)
    with pytest.raises(Invalid, match="after starts_at") as raised:
        check_times(NOW, NOW, NOW - HOUR)
    assert raised.value.field == "expired_at"
    with pytest.raises(Invalid, match="past"):
        check_times(NOW - HOUR, NOW, NOW)


def test_only_what_becomes_another_value_changes() -> None:
    assert find_changes(mailing(), {}, NOW) == {}
    same = Filter(tag=["#x"])
    assert find_changes(mailing(), {"text": "hello", "filter": same}, NOW) == {}
    assert find_changes(mailing(), {"text": "bye", "filter": same}, NOW) == {"text": "bye"}


def test_the_filter_of_a_mailing_that_has_started_is_fixed() -> None:
    other = Filter(code=[905])
    assert find_changes(mailing(), {"filter": other}, NOW) == {"filter": {"code": [905]}}
    with pytest.raises(StateForbids, match="filter"):
        find_changes(mailing(MailingState.RUNNING), {"filter": other}, NOW)


@pytest.mark.parametrize("state", LIVE)
def test_text_and_times_of_a_live_mailing_can_change(state: MailingState) -> None:
    later = NOW + 3 * HOUR
    assert find_changes(mailing(state), {"text": "bye", "starts_at": NOW, "expired_at": later}, NOW) == {
        "text": "bye",
        "starts_at": NOW,
        "expired_at": later,
    }


@pytest.mark.parametrize("state", OVER)
def test_a_mailing_that_is_over_cannot_change_but_may_be_sent_back_as_it_is(state: MailingState) -> None:
    past = mailing(state, ends=NOW - HOUR)
    assert find_changes(past, {"text": "hello", "expired_at": NOW - HOUR}, NOW) == {}
    with pytest.raises(StateForbids, match=state):
        find_changes(past, {"text": "bye"}, NOW)


def test_times_are_checked_as_they_will_be_together() -> None:
    with pytest.raises(Invalid, match="after starts_at"):
        find_changes(mailing(), {"starts_at": NOW + 2 * HOUR}, NOW)
    with pytest.raises(Invalid, match="past"):
        find_changes(mailing(ends=NOW - HOUR), {"text": "bye"}, NOW)


@pytest.mark.parametrize("state", LIVE)
def test_a_live_mailing_can_be_paused_and_canceled(state: MailingState) -> None:
    check_pausable(mailing(state))
    check_cancelable(mailing(state))


@pytest.mark.parametrize("state", OVER)
def test_there_is_nothing_to_pause_in_an_ended_mailing(state: MailingState) -> None:
    with pytest.raises(StateForbids, match=state):
        check_pausable(mailing(state))


def test_a_finished_mailing_cannot_be_canceled_and_a_canceled_one_is() -> None:
    check_cancelable(mailing(MailingState.CANCELED))
    with pytest.raises(StateForbids, match="finished"):
        check_cancelable(mailing(MailingState.FINISHED))


def test_an_earlier_end_or_a_later_start_recalls_jobs() -> None:
    running = mailing(MailingState.RUNNING)
    assert narrows(running, {"expired_at": NOW + HOUR}, NOW)
    assert narrows(running, {"starts_at": NOW + HOUR}, NOW)
    assert not narrows(running, {"expired_at": NOW + 3 * HOUR, "starts_at": NOW - HOUR, "text": "bye"}, NOW)
    assert not narrows(mailing(), {"expired_at": NOW + HOUR}, NOW), "nothing is out before the start"


def test_a_window_and_a_rate_can_change_after_the_start_and_be_removed() -> None:
    running = mailing(MailingState.RUNNING, window=DAYTIME, rate=5)
    assert find_changes(running, {"window": DAYTIME, "rate": 5.0}, NOW) == {}
    assert find_changes(running, {"window": None, "rate": None}, NOW) == {"window": None, "rate": None}
    night = LocalWindow.model_validate({"from": "21:00", "until": "09:00"})
    assert find_changes(running, {"window": night, "rate": 6.0}, NOW) == {"window": night, "rate": 6.0}


def test_another_window_or_a_lower_rate_recalls_jobs() -> None:
    running = mailing(MailingState.RUNNING, window=DAYTIME, rate=5)
    assert narrows(running, {"window": None}, NOW)
    assert narrows(mailing(MailingState.RUNNING), {"window": DAYTIME}, NOW)
    assert narrows(running, {"rate": 4.9}, NOW)
    assert narrows(mailing(MailingState.RUNNING), {"rate": 100.0}, NOW)
    assert not narrows(running, {"rate": 5.1}, NOW)
    assert not narrows(running, {"rate": None}, NOW)
    assert not narrows(mailing(), {"window": DAYTIME, "rate": 1.0}, NOW), "nothing is out before the start"


@pytest.mark.parametrize("state", [MailingState.RUNNING, MailingState.FINISHED])
def test_a_started_mailing_that_is_not_canceled_can_be_retried_until_a_future_end(state: MailingState) -> None:
    check_retriable(mailing(state), NOW + HOUR, NOW)
    with pytest.raises(Invalid, match="past"):
        check_retriable(mailing(state), NOW, NOW)


@pytest.mark.parametrize("state", [MailingState.SCHEDULED, MailingState.CANCELED])
def test_a_mailing_that_has_not_started_or_is_canceled_cannot_be_retried(state: MailingState) -> None:
    with pytest.raises(StateForbids):
        check_retriable(mailing(state), NOW + HOUR, NOW)


def test_a_status_counts_if_a_message_is_in_it() -> None:
    counted = mailing()
    counted.messages_status.expired = 1
    assert has_any(counted, [MessageStatus.FAILED, MessageStatus.EXPIRED])
    assert not has_any(counted, [MessageStatus.FAILED, MessageStatus.UNCERTAIN])
