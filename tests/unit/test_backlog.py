"""The line of messages: single ones first, then those whose slot is there, then the rest, each in order."""

from typing import cast

from services.sender.backlog import Backlog, Lane, Waiting
from services.sender.reporting import Run
from shared.contracts import JobMessage


def waiting(number: int, lane: Lane) -> Waiting:
    return Waiting(lane, cast("Run", None), JobMessage(number, 79_050_000_000), 0.0)


async def test_lanes_go_in_their_order_and_messages_in_theirs() -> None:
    backlog = Backlog()
    for number, lane in enumerate([Lane.ORDINARY, Lane.TIMED, Lane.EXPRESS, Lane.ORDINARY, Lane.EXPRESS]):
        backlog.put_nowait(waiting(number, lane))
    assert backlog.qsize() == 5
    assert [(await backlog.get()).message.id for _ in range(5)] == [2, 4, 1, 0, 3]
    assert backlog.empty()
