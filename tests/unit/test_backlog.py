"""Messages wait in lanes: single messages first, then those with a slot, then the others, each lane in order."""

from typing import cast

from aio_pika.abc import AbstractIncomingMessage

from services.sender.backlog import Backlog, SendLane, WaitingMessage
from services.sender.held_job import HeldJob
from shared.contracts import Job, JobMessage, utc_now

MESSAGES = tuple(JobMessage(number, 79_050_000_000) for number in range(5))


def held_job(*, must_note: bool) -> HeldJob:
    job = Job(
        job_id=1,
        release=1,
        mailing_id=1,
        revision=0,
        text="hello",
        send_before=utc_now(),
        lease_until=utc_now(),
        messages=MESSAGES,
        must_note=must_note,
    )
    return HeldJob.of(job, cast(AbstractIncomingMessage, None), is_single=False)


def waiting(number: int, lane: SendLane, job: HeldJob | None = None) -> WaitingMessage:
    return WaitingMessage(lane, job or held_job(must_note=False), MESSAGES[number], 0.0)


def test_a_message_that_must_be_noted_waits_apart_until_it_is() -> None:
    backlog, job = Backlog(), held_job(must_note=True)
    backlog.put(waiting(1, SendLane.SINGLE, job))
    assert backlog.get() is None
    assert backlog.unnoted.get() == waiting(1, SendLane.SINGLE, job)
    job.begun_to = 1
    backlog.put(waiting(1, SendLane.SINGLE, job))
    assert backlog.get() == waiting(1, SendLane.SINGLE, job)


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
