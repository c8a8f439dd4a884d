"""Decisions of the stand-in provider about a request."""

import pytest

from deploy.sandbox.behaviour import PLAIN, TAKING, Behaviour, Ending, Mode, react

IDS = range(1, 10_001)


@pytest.mark.parametrize("mode", Mode)
def test_a_message_is_taken_in_the_documented_modes_only(mode: Mode) -> None:
    assert react(Behaviour(mode=mode), 1, 1).taken == (mode in TAKING)


def test_the_share_is_kept() -> None:
    behaviour = Behaviour(mode=Mode.ERROR, share=0.3)
    affected = sum(react(behaviour, message_id, 1) != PLAIN for message_id in IDS)
    assert affected == pytest.approx(3000, abs=200)


@pytest.mark.parametrize(("share", "affected"), [(0.0, 0), (1.0, len(IDS))])
def test_a_share_of_none_and_of_all_are_exact(share: float, affected: int) -> None:
    behaviour = Behaviour(mode=Mode.ERROR, share=share)
    assert sum(react(behaviour, message_id, 1) != PLAIN for message_id in IDS) == affected


def test_the_same_seed_affects_the_same_requests_and_another_one_others() -> None:
    def affected(seed: int, attempt: int) -> set[int]:
        behaviour = Behaviour(mode=Mode.ERROR, share=0.5, seed=seed)
        return {message_id for message_id in IDS if react(behaviour, message_id, attempt) != PLAIN}

    assert affected(seed=7, attempt=1) == affected(seed=7, attempt=1)
    assert affected(seed=7, attempt=1) != affected(seed=8, attempt=1)
    assert affected(seed=7, attempt=1) != affected(seed=7, attempt=2)


def test_latency_lies_between_the_least_and_the_jitter_on_top() -> None:
    behaviour = Behaviour(mode=Mode.SLOW, latency_ms=100, latency_jitter_ms=50)
    delays = [react(behaviour, message_id, 1).delay for message_id in IDS]
    assert 0.1 <= min(delays) < 0.101
    assert 0.149 < max(delays) <= 0.15


def test_requests_outside_the_share_are_served_at_once() -> None:
    behaviour = Behaviour(mode=Mode.REJECT, latency_ms=100, share=0)
    assert react(behaviour, 1, 1) == PLAIN


@pytest.mark.parametrize(
    ("mode", "retry_after", "header"),
    [
        (Mode.THROTTLE, 7, b"Retry-After: 7\r\n"),
        (Mode.THROTTLE, None, b"Retry-After: 1\r\n"),
        (Mode.UNAVAILABLE, 0, b"Retry-After: 0\r\n"),
        (Mode.UNAVAILABLE, None, b""),
    ],
)
def test_retry_after_is_said_where_it_belongs(mode: Mode, retry_after: int | None, header: bytes) -> None:
    reply = react(Behaviour(mode=mode, retry_after=retry_after), 1, 1).reply
    assert header in reply
    assert header or b"Retry-After" not in reply


def test_half_an_answer_is_cut_before_its_end() -> None:
    reaction = react(Behaviour(mode=Mode.HALF), 1, 1)
    assert PLAIN.reply.startswith(reaction.reply)
    assert b"\r\n\r\n" in reaction.reply
    assert reaction.ending is Ending.CLOSE
