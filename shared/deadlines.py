"""Deadlines for work that cannot be ended at once."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")


class DeadlineExceeded(Exception):
    """Raised when work did not end in time."""


_abandoned: set[asyncio.Task[object]] = set()  # the event loop itself keeps no reference to a task


async def finish_within(seconds: float, work: Coroutine[object, object, Result]) -> Result:
    """Return the result of the work. Raise DeadlineExceeded when the time is over, and leave the work behind.

    `asyncio.timeout` would wait until the cancelled work has ended. But to cancel a statement, the driver
    asks PostgreSQL and waits for the answer, and PostgreSQL may be frozen.
    """
    task = asyncio.create_task(work)
    _abandoned.add(task)
    task.add_done_callback(_forget)
    try:
        await asyncio.wait([task], timeout=seconds)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if not task.done():
        task.cancel()
        raise DeadlineExceeded
    return task.result()


def _forget(task: asyncio.Task[object]) -> None:
    _abandoned.discard(task)
    if not task.cancelled():
        task.exception()  # marks it as retrieved, because nobody may be waiting for it any more
