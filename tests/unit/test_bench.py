"""Reckoning of `make bench`: lost and repeated messages, and the last line."""

from collections import Counter

import pytest

from tests.bench.nginx import Received, read_log
from tests.bench.processor import machine_seconds, process_seconds
from tests.bench.results import Problem, Result, last_line, summarize

LOG = ["200 /v1/send/1\n", "200 /v1/send/2\n", "200 /v1/send/2\n", "401 /v1/send/3\n", "404 /\n"]


def test_the_log_tells_what_was_taken() -> None:
    assert read_log(LOG) == Received(Counter({1: 1, 2: 2}), refused=2)


@pytest.mark.parametrize(
    ("recorded", "accepted", "problem"),
    [
        ([1, 2], {1: 1, 2: 1}, None),
        ([1, 2], {1: 1}, Problem(lost=1, unrecorded=0, repeated=0, refused=0)),
        ([1], {1: 1}, Problem(lost=1, unrecorded=0, repeated=0, refused=0)),
        ([1], {1: 1, 2: 1}, Problem(lost=1, unrecorded=1, repeated=0, refused=0)),
        ([1, 2], {1: 2, 2: 1}, Problem(lost=0, unrecorded=0, repeated=1, refused=0)),
    ],
)
def test_of_two_messages_that_are_owed(
    recorded: list[int], accepted: dict[int, int], problem: Problem | None
) -> None:
    assert Problem.found(2, recorded, Received(Counter(accepted), refused=0)) == problem


def test_the_last_line_has_medians_and_their_ratios() -> None:
    seconds = {"ours-2": (1, 2, 4), "celery": (20, 40, 10), "dramatiq": (10, 10, 10), "floor": (1, 1, 1)}
    results = [
        Result(name, 1000, one, 0.1, None, 200.4, {"sender": 20.4, "planner": 30} if name == "ours-2" else {})
        for name, rounds in seconds.items()
        for one in rounds
    ]
    assert last_line(summarize(results)) == (
        "bench: ours=500/s celery=50/s dramatiq=100/s floor=1000/s"
        " vs_celery=10.00 vs_dramatiq=5.00 vs_floor=0.50 bytes_per_message=200"
        " sender_us=20 planner_us=30"
    )


def test_processor_time_is_read_from_proc() -> None:
    assert process_seconds("7 (a) b) S " + " ".join(["0"] * 10) + " 150 50 0") == 2.0
    assert machine_seconds("cpu  100 0 200 9999 50 0 100 7 0 0") == 4.0
