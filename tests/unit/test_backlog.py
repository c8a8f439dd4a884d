"""Messages wait in lanes: single messages first, then those with a slot, then the others, each lane in order."""

from typing import cast

from services.sender.backlog import Backlog, SendLane, WaitingMessage
from services.sender.held_job import HeldJob
from shared.contracts import JobMessage


def waiting(number: int, lane: SendLane) -> WaitingMessage:
    return WaitingMessage(lane, cast("HeldJob", None), JobMessage(number, 79_050_000_000), 0.0)


async def test_lanes_go_in_their_order_and_messages_in_theirs() -> None:
    backlog = Backlog()
    lanes = [
        SendLane.WITHOUT_SLOT,
        SendLane.WITH_SLOT,
        SendLane.SINGLE,
        SendLane.WITHOUT_SLOT,
        SendLane.SINGLE,
    ]
    for number, lane in enumerate(lanes):
        backlog.put_nowait(waiting(number, lane))
    assert backlog.qsize() == 5
    assert [(await backlog.get()).message.id for _ in range(5)] == [2, 4, 1, 0, 3]
    assert backlog.empty()
