"""Lifecycle of a process: it starts, its loops survive every outage of a server, and a signal ends it in order."""

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
# Thresholds of the garbage collector: new objects before a collection, and collections of a generation before
# one of the next.
COLLECT_AFTER = (20_000, 20, 50)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main` on uvloop where there is one. SIGTERM and SIGINT set the event that it is given."""
    # Imported objects stay, so the collector need not look at them again, nor run every 700 new objects.
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_with_signals(main))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    if sys.platform == "win32":
        return asyncio.SelectorEventLoop  # psycopg does not work on the default loop of Windows
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
    """Run all loops until `stopping` is set, then give them `grace` seconds to end by themselves.

    A loop that ends or fails before that is a fault of the program. It ends the process with its error.
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
    """Run `main` to its end, and until then the others, which never end by themselves.

    If one of the others ends or fails, this is a fault of the program. It ends the process with its error.
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
    """Call `step` again and again. It returns the seconds until its next call; `wake` ends the pause early.

    The loop continues after every error. A server that is away is tried again after a pause. A fault is
    logged with its traceback.
    """
    wake = wake or asyncio.Event()
    while not stopping.is_set():
        wake.clear()
        try:
            pause = await step()
        except Exception as error:  # noqa: BLE001 - the edge of a loop: one bad step must not end the service
            _log_failure(name, error)
            # `wake` does not end this pause. Otherwise every event would try a server that is away.
            await wait_for_any(stopping, timeout=PAUSE_AFTER_FAILURE)
            continue
        if pause > 0:
            await wait_for_any(wake, stopping, timeout=pause)


def _log_failure(name: str, error: Exception) -> None:
    if isinstance(error, TransactionConflict):
        log.info("transaction_repeated", loop=name)
    elif isinstance(error, DatabaseUnavailable):
        log.warning("database_unavailable", loop=name, waiting_for="PostgreSQL", error=error.reason)
    elif isinstance(error, NotPublished | PublishUnknown):
        log.warning("broker_unavailable", loop=name, waiting_for="RabbitMQ", error=str(error))
    else:
        log.error("step_failed", loop=name, exc_info=error)


async def wait_for_any(*events: asyncio.Event, timeout: float | None = None) -> None:
    """Wait until one of the events is set, at most `timeout` seconds."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
