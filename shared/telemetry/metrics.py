"""Metrics of every service, for Prometheus, in the default registry of this process.

A service's other metrics stand in its own `metrics.py`. docs/metrics.md lists all of them. Every value of a
label has a series from the start, at 0, because a rate misses the first step of a series that has just
appeared.
"""

import asyncio
import platform
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from shared import __version__
from shared.statuses import FINAL_STATUSES
from shared.topology import QUEUES

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
LAG_INTERVAL = 0.25  # seconds between two measurements of the event loop

# They would add a line to every series, and nobody needs them.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no types here


def with_all_labels(counter: Counter, values: Iterable[str]) -> Counter:
    """Return the counter, which has one label, with a series for each of the label's values."""
    for value in values:
        counter.labels(value)
    return counter


DEAD_LETTERED = with_all_labels(
    Counter(
        "mailing_dead_letters_total",
        "Messages that could not be handled, by the queue that they came from",
        ["queue"],
    ),
    [queue.name for queue in QUEUES if queue.dead_letters],
)
SETTLED = with_all_labels(
    Counter("mailing_messages_settled_total", "Messages that got a final status, after the commit", ["status"]),
    sorted(FINAL_STATUSES),
)
LOOP_LAG = Histogram(
    "mailing_event_loop_lag_seconds",
    "Delay of the event loop: how late a sleeping task woke up, measured four times a second",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
BUILD_INFO = Gauge(
    "mailing_build_info", "Always 1; the labels tell which version runs", ["service", "version", "python"]
)


@asynccontextmanager
async def measure_process(service: str) -> AsyncIterator[None]:
    """Publish the version, and measure the event loop while the block runs."""
    BUILD_INFO.labels(service, __version__, platform.python_version()).set(1)
    measurement = asyncio.create_task(_measure_lag())
    try:
        yield
    finally:
        measurement.cancel()
        await asyncio.gather(measurement, return_exceptions=True)


async def _measure_lag() -> None:
    loop = asyncio.get_running_loop()
    while True:
        due_at = loop.time() + LAG_INTERVAL
        await asyncio.sleep(LAG_INTERVAL)
        LOOP_LAG.observe(max(0.0, loop.time() - due_at))


def exposition() -> bytes:
    """Return all metrics of this process as text of `CONTENT_TYPE`.

    It takes a millisecond; for the API, which has a series for each route, ten.
    """
    return generate_latest(REGISTRY)
