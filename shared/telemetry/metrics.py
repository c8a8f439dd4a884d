"""What is measured in every service, for Prometheus, in the default registry of this process; and how it is read.

What a service measures besides stands in its own `metrics.py`. docs/metrics.md lists all of it. Every value that
a label can have is there from the start, as 0: a rate misses the first step of a series that has just appeared.
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
LAG_INTERVAL = 0.25  # seconds between two looks at the event loop


# They would be a line more for every series, which nobody asks for.
disable_created_metrics()  # type: ignore[no-untyped-call] # the library has no types here


def with_all_labels(counter: Counter, values: Iterable[str]) -> Counter:
    """The counter of one label, with a series for each of its values."""
    for value in values:
        counter.labels(value)
    return counter


DEAD_LETTERED = with_all_labels(
    Counter(
        "mailing_dead_letters_total", "Messages that could not be handled, by the queue they came from", ["queue"]
    ),
    [queue.name for queue in QUEUES if queue.dead_letters],
)
SETTLED = with_all_labels(
    Counter("mailing_messages_settled_total", "Messages that came into a final status, committed", ["status"]),
    sorted(FINAL_STATUSES),
)
LOOP_LAG = Histogram(
    "mailing_event_loop_lag_seconds",
    "How much later than it wished a sleeping task was woken, four times a second",
    buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
BUILD_INFO = Gauge("mailing_build_info", "Always 1; what runs here", ["service", "version", "python"])


@asynccontextmanager
async def measure_process(service: str) -> AsyncIterator[None]:
    """Says what runs here, and measures the event loop while the block runs."""
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
        wished = loop.time() + LAG_INTERVAL
        await asyncio.sleep(LAG_INTERVAL)
        LOOP_LAG.observe(max(0.0, loop.time() - wished))


def exposition() -> bytes:
    """All metrics of this process as text of `CONTENT_TYPE`. Takes a millisecond; the API's, by route, ten."""
    return generate_latest(REGISTRY)
