"""Messages wait in lanes: single messages first, then those with a slot, then the others, each lane in order."""

from typing import cast

from services.sender.backlog import Backlog, SendLane, WaitingMessage
from services.sender.held_job import HeldJob
from shared.contracts import JobMessage


def waiting(number: int, lane: SendLane) -> WaitingMessage:
    return WaitingMessage(lane, cast("HeldJob", None), JobMessage(number, 79_050_000_000), 0.0)


def test_lanes_go_in_their_order_and_messages_in_theirs() -> None:
    backlog = Backlog()
    lanes = [
        SendLane.WITHOUT_SLOT,
        SendLane.WITH_SLOT,
        SendLane.SINGLE,
        SendLane.WITHOUT_SLOT,
        SendLane.SINGLE,
    ]
    for number, lane in enumerate(lanes):
        backlog.put(waiting(number, lane))
    assert len(backlog) == 5
    assert [one.message.id for one in iter(backlog.get, None)] == [2, 4, 1, 0, 3]
    assert len(backlog) == 0


def test_a_message_can_go_to_the_front_of_its_lane() -> None:
    backlog = Backlog()
    backlog.put(waiting(1, SendLane.WITHOUT_SLOT))
    backlog.put(waiting(2, SendLane.SINGLE))
    backlog.put_first(waiting(3, SendLane.WITHOUT_SLOT))
    assert [one.message.id for one in iter(backlog.get, None)] == [2, 3, 1]
