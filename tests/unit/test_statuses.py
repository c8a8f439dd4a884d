"""The statuses and their transitions: one list, from which everything else follows."""

import pytest

from shared.ledger.counters import COUNTERS, StatusMoves
from shared.ledger.tables import Counters
from shared.statuses import FINAL_STATUSES, RETRYABLE_STATUSES, MessageStatus, Reason, may_follow


def test_the_counters_have_a_column_for_each_status_and_the_total() -> None:
    assert set(COUNTERS) == {*MessageStatus, "total"}
    assert set(Counters.__table__.columns.keys()) == {*MessageStatus, "total", "mailing_id"}


def test_a_final_status_changes_only_by_a_retry() -> None:
    for before in FINAL_STATUSES:
        followers = {after for after in MessageStatus if may_follow(before, after)}
        assert followers == ({MessageStatus.NEW} if before in RETRYABLE_STATUSES else set())


def test_a_sent_message_is_never_sent_again() -> None:
    assert not any(may_follow(MessageStatus.SENT, after) for after in MessageStatus)


def test_every_reason_belongs_to_a_final_status() -> None:
    assert {reason for status in FINAL_STATUSES for reason in status.reasons} == set(Reason)
    assert not any(status.reasons for status in MessageStatus if not status.is_final)


def test_every_status_is_described_for_users() -> None:
    assert all(status.description.endswith(".") for status in MessageStatus)


def test_a_move_that_is_not_allowed_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot change from sent to new"):
        StatusMoves().add(1, MessageStatus.SENT, MessageStatus.NEW, 1)
