"""`python -m tests.chaos.flat`: whether memory and broker stay flat in the size and in the number of mailings.

First many mailings in a row, as days of work in minutes, then, on fresh processes, a small and a large mailing.
The last line is `flat: small=… large=… memory_ratio_max=… jobs_queued_max=… mailings=… growth_max=…`; exit status
1 if a process took a fifth more memory for the large mailing than for the small one, if anything grew by a tenth
between the first mailings and the last, if more jobs waited in the broker than are released ahead, or if a message
was not sent.
"""

import argparse
import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr

from deploy.local.stack import Servers as PrivateServers
from services.planner.settings import PlannerSettings
from shared.ledger.migrations import migrate
from tests.chaos.gauges import Broker, Figures, forget_peak, peak, ratios, resident
from tests.directory import add_clients
from tests.e2e.system import System, running_system
from tests.sandbox import Sandbox, running_sandbox
from tests.servers import Servers

REPOSITORY = Path(__file__).parents[2]
MEMORY_RATIO = 1.2  # of the large mailing's to the small one's, less than
GROWTH = 1.1  # from the first mailings to the last, less than
OF_EACH = 500  # messages in each of the many mailings
WARM_AFTER = 0.1  # of the many mailings, what they are compared with
STANDSTILL = 30.0  # seconds without any change, after which waiting is given up
GLANCE = 0.1  # seconds between two looks at the queue
# The planner looks a little later than its clock says, and may count so much more than `release_ahead` as done.
LEEWAY = 0.25  # seconds


@dataclass(frozen=True, slots=True)
class Options:
    small: int
    large: int
    mailings: int


@dataclass(frozen=True, slots=True)
class Stress:
    """Resources that one mailing needed."""

    memory: Figures  # of each process at its peak, in KiB
    waiting: int  # jobs in the broker, at most
    allowed: int  # of them


def arguments() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.flat", description=__doc__)
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--mailings", type=int, default=200)
    return Options(**vars(parser.parse_args()))


async def run(options: Options, state: Path) -> bool:
    """Runs it and prints the findings; whether all is flat. Raises AssertionError when a message was not sent."""
    logs = state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with PrivateServers(state / "servers", throwaway=True, environment={}, notify=tell) as servers:
        migrate(SecretStr(servers.database_url))
        async with running_sandbox() as sandbox:
            async with fresh_system(servers, sandbox, logs) as (system, broker):
                growth = await many(system, broker, servers.database_url, options.mailings)
            async with fresh_system(servers, sandbox, logs) as (system, broker):
                await one(system, broker, servers.database_url, "#warm-up", options.small)
                small = await one(system, broker, servers.database_url, "#small", options.small)
                large = await one(system, broker, servers.database_url, "#large", options.large)
    return conclude(options, small, large, growth)


@asynccontextmanager
async def fresh_system(
    servers: PrivateServers, sandbox: Sandbox, logs: Path
) -> AsyncIterator[tuple[System, Broker]]:
    """One API, one planner and two senders, just started, and a view of the broker."""
    assert servers.rabbitmq
    given = Servers(servers.database_url, servers.broker_url)
    async with running_system(given, sandbox, logs) as system, Broker(servers.rabbitmq) as broker:
        yield system, broker


async def many(system: System, broker: Broker, database_url: str, mailings: int) -> dict[str, float]:
    """Mailing after mailing; how many times as much there is of everything in the end as after the first ones."""
    add_clients(database_url, "#many", OF_EACH)
    warm = max(round(mailings * WARM_AFTER), 1)
    for number in range(1, mailings + 1):
        mailing = await system.add_mailing("#many")
        status = await system.until_settled(mailing, OF_EACH)
        assert status == {"total": OF_EACH, "sent": OF_EACH}, status
        if number == warm:
            first = figures(system, await broker.objects())
            tell(f"after {number} mailings: {first}")
    last = figures(system, await broker.objects())
    tell(f"after {mailings} mailings: {last}")
    return ratios(first, last)


async def one(system: System, broker: Broker, database_url: str, tag: str, count: int) -> Stress:
    """A mailing to so many clients: the most memory and the most jobs that it took."""
    add_clients(database_url, tag, count)
    for process in system.processes.values():
        forget_peak(process.pid)
    began = time.monotonic()
    mailing = await system.add_mailing(tag)
    over = asyncio.Event()
    watching = asyncio.create_task(most_waiting(broker, over))
    try:
        await until_sent(system, mailing, count)
    finally:
        over.set()
    waiting = await watching
    stress = Stress(
        memory={name: peak(process.pid) for name, process in system.processes.items()},
        waiting=waiting,
        allowed=jobs_ahead(database_url, mailing),
    )
    tell(f"{tag} of {count} in {time.monotonic() - began:.0f} s: {stress}")
    return stress


async def until_sent(system: System, mailing: int, count: int) -> None:
    """Waits for the last message; looks at the mailing and at the list every second, as a person would."""
    sent, changed_at = 0, time.monotonic()
    while sent < count:
        await asyncio.sleep(1)
        (await system.api.get("/api/mailing/")).raise_for_status()
        status = await system.status(mailing)
        now = time.monotonic()
        if status.get("sent", 0) > sent:
            if tenths(sent, count) < tenths(status["sent"], count):
                tell(f"{status['sent']} of {count} sent: {memory(system)}")
            sent, changed_at = status["sent"], now
        assert now < changed_at + STANDSTILL, f"nothing was sent for {STANDSTILL:.0f} s: {status}"
    assert status == {"total": count, "sent": count}, status


async def most_waiting(broker: Broker, over: asyncio.Event) -> int:
    """The greatest number of waiting jobs that was seen until it was over."""
    # Not cancelled from outside: a cancellation in the instant of an answer gets lost in Python 3.11's `wait_for`.
    most = 0
    while not over.is_set():
        most = max(most, await broker.waiting_jobs())
        await asyncio.sleep(GLANCE)
    return most


def figures(system: System, objects: Figures) -> Figures:
    """Memory in KiB by process, and what the broker has, by kind."""
    return memory(system) | objects


def memory(system: System) -> Figures:
    """Resident now, in KiB, by process."""
    return {name: resident(process.pid) for name, process in system.processes.items()}


def tenths(part: int, whole: int) -> int:
    """Return the number of full tenths."""
    return part * 10 // whole


def jobs_ahead(database_url: str, mailing: int) -> int:
    """Return how many jobs of the mailing may wait at once if `services.planner.release` keeps its bound.

    These are the jobs done in its busiest `release_ahead`, the least that is released, and one that crosses the
    line.
    """
    settings = PlannerSettings(database_url=SecretStr(database_url), broker_url=SecretStr("amqp://unused"))
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT max(done) FROM (SELECT sum(size) OVER"
            "   (ORDER BY done_at RANGE BETWEEN %s PRECEDING AND CURRENT ROW) AS done"
            "  FROM jobs WHERE mailing_id = %s) AS busy",
            (f"{settings.release_ahead.total_seconds() + LEEWAY} s", mailing),
        ).fetchone()
    assert row is not None
    return math.ceil(int(row[0]) / settings.chunk_size) + settings.release_least + 1


def conclude(options: Options, small: Stress, large: Stress, growth: dict[str, float]) -> bool:
    """Prints the last line; whether every bound holds."""
    larger = ratios(small.memory, large.memory)
    tell(f"memory of the large mailing, compared with the small one: {rounded(larger)}")
    tell(f"growth: {rounded(growth)}")
    memory_ratio, growth_most = max(larger.values()), max(growth.values())
    print(
        f"flat: small={options.small} large={options.large} memory_ratio_max={memory_ratio:.3f}"
        f" jobs_queued_max={max(small.waiting, large.waiting)} mailings={options.mailings}"
        f" growth_max={growth_most:.3f}"
    )
    bounded = all(stress.waiting <= stress.allowed for stress in (small, large))
    return bounded and memory_ratio < MEMORY_RATIO and growth_most < GROWTH


def rounded(shares: dict[str, float]) -> dict[str, float]:
    return {name: round(share, 3) for name, share in shares.items()}


def tell(what: str) -> None:
    """Progress, beside what is printed in the end."""
    print(f"flat: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        flat = asyncio.run(run(arguments(), REPOSITORY / ".local" / "flat"))
    except (AssertionError, httpx.HTTPError) as error:
        sys.exit(f"flat: {error}")
    sys.exit(0 if flat else 1)
