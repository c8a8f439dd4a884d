"""Meaning of an outcome: every row of the table in docs/delivery.md, and the bounds of the retries."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.planner.outcomes import (
    FinalStep,
    OpenMessage,
    Policy,
    ReportedOutcome,
    RetryStep,
    WaitStep,
    backoff,
    next_step,
)
from shared.contracts import Outcome, ReturnReason
from shared.statuses import MailingState, MessageStatus, Reason

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
POLICY = Policy(
    idempotent=True,
    backoff_first=timedelta(seconds=5),
    backoff_most=timedelta(minutes=10),
    redelivery_grace=timedelta(seconds=10),
    circuit_pause=timedelta(seconds=1),
)
ONCE_ONLY = Policy(
    idempotent=False,
    backoff_first=timedelta(seconds=5),
    backoff_most=timedelta(minutes=10),
    redelivery_grace=timedelta(seconds=10),
    circuit_pause=timedelta(seconds=1),
)
RUNNING = OpenMessage(tries=0, expired_at=NOW + timedelta(hours=1), mailing_state=MailingState.RUNNING)
OVER = OpenMessage(tries=0, expired_at=NOW, mailing_state=MailingState.RUNNING)
CANCELED = OpenMessage(tries=0, expired_at=NOW + timedelta(hours=1), mailing_state=MailingState.CANCELED)

outcomes = st.sampled_from(Outcome)
policies = st.sampled_from([POLICY, ONCE_ONLY])
said = st.builds(
    ReportedOutcome,
    outcome=outcomes,
    retry_after=st.none() | st.floats(0, 86_400),
    reason=st.sampled_from(ReturnReason) | st.none(),
)
messages = st.builds(
    OpenMessage,
    tries=st.integers(0, 32_767),
    expired_at=st.timedeltas(timedelta(days=-400), timedelta(days=400)).map(NOW.__add__),
    mailing_state=st.sampled_from(MailingState),
)
jitters = st.floats(0, 1, exclude_max=True)


def step(message: OpenMessage, word: ReportedOutcome, policy: Policy = POLICY) -> FinalStep | RetryStep | WaitStep:
    return next_step(message, word, now=NOW, policy=policy, jitter=0.0)


@pytest.mark.parametrize("message", [RUNNING, OVER, CANCELED])
def test_the_providers_word_is_final_whatever_the_mailing_does(message: OpenMessage) -> None:
    assert step(message, ReportedOutcome(Outcome.ACCEPTED)) == FinalStep(MessageStatus.SENT)
    assert step(message, ReportedOutcome(Outcome.REJECTED)) == FinalStep(MessageStatus.FAILED, Reason.ANSWER)


def test_what_was_deferred_is_tried_again_later_and_that_counts() -> None:
    assert step(RUNNING, ReportedOutcome(Outcome.DEFERRED)) == RetryStep(
        NOW + timedelta(seconds=5), is_failed_try=True
    )


def test_the_provider_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() -> None:
    assert step(RUNNING, ReportedOutcome(Outcome.DEFERRED, retry_after=90)) == RetryStep(
        NOW + timedelta(seconds=90), is_failed_try=True
    )
    assert step(RUNNING, ReportedOutcome(Outcome.DEFERRED, retry_after=1)) == RetryStep(
        NOW + timedelta(seconds=5), is_failed_try=True
    )


def test_an_unclear_answer_is_repeated_only_if_that_can_do_no_harm() -> None:
    assert isinstance(step(RUNNING, ReportedOutcome(Outcome.UNCERTAIN)), RetryStep)
    assert step(RUNNING, ReportedOutcome(Outcome.UNCERTAIN), ONCE_ONLY) == FinalStep(
        MessageStatus.UNCERTAIN, Reason.ANSWER
    )


def test_a_redelivered_job_waits_for_the_reports_of_whoever_had_it() -> None:
    word = ReportedOutcome(Outcome.RETURNED, reason=ReturnReason.REDELIVERED)
    assert step(RUNNING, word) == RetryStep(NOW + timedelta(seconds=10), is_failed_try=False, returns=1)
    assert step(RUNNING, word, ONCE_ONLY) == WaitStep(NOW + timedelta(seconds=10))


@pytest.mark.parametrize("reason", [ReturnReason.SHUTDOWN, ReturnReason.STOPPED, ReturnReason.LEASE_OVER])
def test_what_came_back_untried_is_due_at_once_and_does_not_count(reason: ReturnReason) -> None:
    assert step(RUNNING, ReportedOutcome(Outcome.RETURNED, reason=reason)) == RetryStep(
        NOW, is_failed_try=False, returns=1
    )


def test_while_the_provider_is_out_messages_come_back_after_a_pause_that_does_not_count() -> None:
    word = ReportedOutcome(Outcome.RETURNED, reason=ReturnReason.CIRCUIT_OPEN)
    assert step(RUNNING, word) == RetryStep(NOW + timedelta(seconds=1), is_failed_try=False, returns=1)
    assert step(RUNNING, word, ONCE_ONLY) == RetryStep(NOW + timedelta(seconds=1), is_failed_try=False, returns=1)


def test_a_mailing_that_fails_alone_comes_back_when_its_sender_says() -> None:
    word = ReportedOutcome(Outcome.RETURNED, retry_after=8, reason=ReturnReason.CIRCUIT_OPEN)
    assert step(RUNNING, word) == RetryStep(NOW + timedelta(seconds=8), is_failed_try=False, returns=1)


def test_a_message_whose_end_was_moved_while_it_was_out_is_due_at_once() -> None:
    assert step(RUNNING, ReportedOutcome(Outcome.EXPIRED)) == RetryStep(NOW, is_failed_try=False, returns=1)


@pytest.mark.parametrize("outcome", [Outcome.DEFERRED, Outcome.UNCERTAIN, Outcome.EXPIRED, Outcome.RETURNED])
def test_when_the_time_is_over_an_unsent_message_is_expired(outcome: Outcome) -> None:
    assert step(OVER, ReportedOutcome(outcome)) == FinalStep(MessageStatus.EXPIRED, Reason.END)


@pytest.mark.parametrize("outcome", [Outcome.DEFERRED, Outcome.UNCERTAIN, Outcome.EXPIRED, Outcome.RETURNED])
def test_of_a_canceled_mailing_an_unsent_message_is_canceled(outcome: Outcome) -> None:
    assert step(CANCELED, ReportedOutcome(outcome)) == FinalStep(MessageStatus.CANCELED, Reason.CANCEL)


@given(messages, said, policies, jitters)
def test_every_step_is_a_final_state_or_a_wait_within_bounds(
    message: OpenMessage, word: ReportedOutcome, policy: Policy, jitter: float
) -> None:
    match next_step(message, word, now=NOW, policy=policy, jitter=jitter):
        case FinalStep(MessageStatus.SENT, reason):
            assert reason is None
        case FinalStep(status, reason):
            assert status.is_final
            assert reason in status.reasons
        case RetryStep(due_at):
            assert NOW <= due_at <= NOW + max(timedelta(minutes=12), timedelta(seconds=word.retry_after or 0))
            assert message.expired_at > NOW, "nothing is tried again after the end"


@given(st.integers(0, 100_000), jitters)
def test_the_wait_grows_with_the_tries_up_to_its_most(tries: int, jitter: float) -> None:
    wait = backoff(tries, POLICY, jitter)
    assert timedelta(seconds=5) <= wait <= timedelta(minutes=12)
    assert backoff(tries + 1, POLICY, jitter) >= wait


def test_what_comes_back_as_its_window_closes_is_for_the_next_opening() -> None:
    closes_at = NOW + timedelta(milliseconds=80)
    closing = replace(RUNNING, closes_at=closes_at)
    assert step(closing, ReportedOutcome(Outcome.EXPIRED)) == RetryStep(closes_at, is_failed_try=False)
    # The mailing's end had come first, and was moved since: this opening goes on.
    assert step(
        replace(RUNNING, closes_at=NOW + timedelta(hours=3)), ReportedOutcome(Outcome.EXPIRED)
    ) == RetryStep(NOW, is_failed_try=False, returns=1)
    # It was long on its way: not into the past.
    assert step(
        replace(RUNNING, closes_at=NOW - timedelta(hours=3)), ReportedOutcome(Outcome.EXPIRED)
    ) == RetryStep(NOW, is_failed_try=False)


@pytest.mark.parametrize("reason", [None, *ReturnReason])
def test_what_comes_back_again_and_again_waits_longer_each_time(reason: ReturnReason | None) -> None:
    outcome = Outcome.EXPIRED if reason is None else Outcome.RETURNED
    word, message, waits = ReportedOutcome(outcome, reason=reason), RUNNING, []
    for _ in range(12):
        found = step(message, word)
        assert isinstance(found, RetryStep)
        assert found.cause == (reason or "expired")
        waits.append(found.due_at - NOW)
        message = replace(message, returns=found.returns)
    assert waits == sorted(waits)
    longest = {ReturnReason.STOPPED: 2, ReturnReason.CIRCUIT_OPEN: 2}.get(reason, 30) if reason else 30
    assert waits[-1] == timedelta(seconds=longest)


def test_a_post_ends_the_row_of_returns() -> None:
    found = step(replace(RUNNING, returns=9), ReportedOutcome(Outcome.DEFERRED))
    assert isinstance(found, RetryStep)
    assert found.returns == 0
