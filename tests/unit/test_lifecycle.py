"""Tasks that run beside each other, and the errors that aiormq raises for a lost connection."""

import asyncio

import pytest

from shared.broker.connection import translate_aiormq_errors
from shared.lifecycle import run_beside


async def for_ever() -> None:
    await asyncio.Event().wait()


async def fails() -> None:
    await asyncio.sleep(0)
    raise LookupError("a fault")


async def ends() -> None:
    await asyncio.sleep(0)


async def test_the_other_tasks_end_with_the_main_one() -> None:
    other = asyncio.ensure_future(for_ever())
    await run_beside(ends(), other)
    assert other.cancelled()


async def test_a_fault_of_another_task_ends_all() -> None:
    main = asyncio.ensure_future(for_ever())
    with pytest.raises(LookupError):
        await run_beside(main, fails())
    assert main.cancelled()


@pytest.mark.parametrize("raised", [asyncio.CancelledError(), RuntimeError("Connection was closed")])
async def test_errors_of_aiormq_for_a_lost_connection_are_translated(raised: BaseException) -> None:
    with pytest.raises(ConnectionResetError), translate_aiormq_errors():
        raise raised


async def test_the_cancellation_of_a_task_is_not_translated() -> None:
    async def waits() -> None:
        with translate_aiormq_errors():
            await for_ever()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
