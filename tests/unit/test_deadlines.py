"""Work with a deadline is left behind when the deadline is over, also if it cannot be ended."""

import asyncio
import time

import pytest

from shared.deadlines import DeadlineExceeded, finish_within


async def test_the_result_of_work_that_ends_in_time_is_returned() -> None:
    async def work() -> int:
        await asyncio.sleep(0)
        return 7

    assert await finish_within(10, work()) == 7


async def test_an_error_of_the_work_is_raised() -> None:
    async def work() -> None:
        raise TimeoutError("of its own")

    with pytest.raises(TimeoutError, match="of its own"):
        await finish_within(10, work())


async def test_work_that_ignores_its_cancellation_is_left_behind() -> None:
    may_end, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await may_end.wait()
            ended.set()
            raise LookupError("nobody waits for this") from None

    began = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await finish_within(0.01, work())
    assert time.monotonic() - began < 5
    assert not ended.is_set()
    may_end.set()
    await asyncio.wait_for(ended.wait(), 10)


async def test_work_is_cancelled_with_its_caller() -> None:
    cancelled = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    caller = asyncio.create_task(finish_within(10, work()))
    await asyncio.sleep(0.01)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(cancelled.wait(), 10)
