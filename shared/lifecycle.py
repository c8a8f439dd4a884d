"""How a process lives: it starts, its loops go on whatever the servers do, and a signal ends it in order."""

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from shared.errors import DatabaseUnavailable, NotPublished, PublishUnknown, TransactionConflict

log = structlog.get_logger()

PAUSE_AFTER_FAILURE = 0.5  # seconds
# How many more objects there must be than at the last collection, and how often a generation is passed over.
COLLECT_AFTER = (20_000, 20, 50)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Runs `main` on uvloop where there is one; SIGTERM and SIGINT set the event it is given."""
    # What was imported stays: the collector need not look at it again and again, nor come every 700 objects.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_with_signals(main))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop  # psycopg does not work on the default there
    import uvloop

    return uvloop.new_event_loop


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stopping.set)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping.set))
    await main(stopping)


async def run_loops(stopping: asyncio.Event, *loops: Awaitable[None], grace: float = 8.0) -> None:
    """Runs all loops until `stopping` is set, and gives them `grace` seconds to end by themselves.

    A loop that ends or fails before that is a fault of the program and ends the process with its error.
    """
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    waiting = asyncio.create_task(stopping.wait())
    try:
        done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {waiting}:
            task.result()
        await asyncio.wait(tasks, timeout=grace)
    finally:
        stopping.set()
        for task in (waiting, *tasks):
            task.cancel()
        await asyncio.gather(waiting, *tasks, return_exceptions=True)


async def run_beside(main: Awaitable[None], *others: Awaitable[None]) -> None:
    """Runs `main` to its end, and until then the others, which never end by themselves.

    One that ends or fails all the same is a fault of the program and ends the process with its error.
    """
    tasks = [asyncio.ensure_future(one) for one in (main, *others)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def repeat(
    name: str,
    step: Callable[[], Awaitable[float]],
    stopping: asyncio.Event,
    wake: asyncio.Event | None = None,
) -> None:
    """Calls `step` again and again; it answers how many seconds it can wait, `wake` cuts that short.

    A server that is away is waited for; a fault is logged with its traceback, and the loop goes on.
    """
    wake = wake or asyncio.Event()
    while not stopping.is_set():
        wake.clear()
        try:
            pause = await step()
        except Exception as error:  # noqa: BLE001 - the edge of a loop: one bad step must not end the service
            _tell(name, error)
            # Not cut short: a server that is away is not knocked at for every event, however many there are.
            await _wait_for_any(PAUSE_AFTER_FAILURE, stopping)
            continue
        if pause > 0:
            await _wait_for_any(pause, wake, stopping)


def _tell(name: str, error: Exception) -> None:
    if isinstance(error, TransactionConflict):
        log.info("transaction_repeated", loop=name)
    elif isinstance(error, DatabaseUnavailable):
        log.warning("database_unavailable", loop=name, waiting_for="PostgreSQL")
    elif isinstance(error, NotPublished | PublishUnknown):
        log.warning("broker_unavailable", loop=name, waiting_for="RabbitMQ", error=str(error))
    else:
        log.error("step_failed", loop=name, exc_info=error)


async def _wait_for_any(timeout: float, *events: asyncio.Event) -> None:
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
