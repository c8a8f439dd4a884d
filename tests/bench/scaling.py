"""`python -m tests.bench.scaling`: more senders at a provider that takes its time, and a mailing to a million.

At 100 ms for an answer and 64 requests in flight, a sender can do 640 messages a second; so many times that is the
ideal of several. The last line is `bench-scale: …`; exit status 1 if a goal is missed.
"""

import argparse
import asyncio
import shutil
import statistics
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from pydantic import SecretStr

from deploy.local.stack import Servers as PrivateServers
from deploy.sandbox.client import SandboxControl
from shared.contracts import utc_now
from shared.ledger.migrations import migrate
from tests.chaos.gauges import resident
from tests.rules.world import World, world
from tests.sandbox import running_sandbox
from tests.servers import Servers

REPOSITORY = Path(__file__).parents[2]
SENDERS = (1, 2, 4, 8)
LATENCY = 0.1  # seconds
IN_FLIGHT = 64  # of a sender
WARM, MEASURED = 3.0, 8.0  # seconds
LARGE = 1_000_000
PATIENCE = 400.0  # seconds for the large one
TAG = "#scale"

# The goals. Memory: some MiB of room for what Python's allocator does.
OF_IDEAL = 0.9
FIRST_MS = 200
STEADY = 0.8  # the last third's rate to the first third's; the directory's caches fill in the meantime
GROWTH = 1.15


@dataclass(frozen=True, slots=True)
class Large:
    """The large mailing: milliseconds, seconds, messages a second, and memory in MiB at a quarter and the end."""

    first_ms: float
    expanded: float
    rate: float
    steady: float
    memory: dict[str, tuple[int, int]]

    @property
    def growth(self) -> float:
        """Return the growth of the process that grew most, as a ratio."""
        return max(after / before for before, after in self.memory.values())


async def of_ideal(here: World, senders: int) -> float:
    """The throughput of so many senders, as a fraction of what latency allows."""
    ideal = senders * IN_FLIGHT / LATENCY
    here.add_clients(int(ideal * (WARM + MEASURED + 2)), TAG)
    await here.sandbox.control.behave(latency_ms=LATENCY * 1000)
    mailing = await here.system.add_mailing(TAG)
    await here.until_received(int(ideal * WARM / 2))
    await asyncio.sleep(WARM / 2)
    before, began = (await here.sandbox.control.totals()).received, time.monotonic()
    await asyncio.sleep(MEASURED)
    after, ended = (await here.sandbox.control.totals()).received, time.monotonic()
    (await here.system.api.post(f"/api/mailing/{mailing}/cancel/")).raise_for_status()
    return (after - before) / (ended - began) / ideal


async def deliver_to_many(here: World, count: int) -> Large:
    """A mailing to so many, at a provider that answers at once."""
    here.add_clients(count, TAG)
    await asyncio.to_thread(_settle_directory, here.database_url)
    starts_at = utc_now() + timedelta(seconds=3)
    mailing = await here.system.add_mailing(TAG, starts_at=starts_at)
    await here.until_received(count // 4, timeout=PATIENCE)
    before = _memory(here)
    await here.until_received(count, timeout=PATIENCE)
    after = _memory(here)
    status = await here.system.until_settled(mailing, count, timeout=60)
    assert status == {"sent": count, "total": count}, status
    totals = await here.sandbox.control.totals()
    assert (totals.unique, totals.duplicated) == (count, 0), totals
    assert totals.first_at
    assert totals.last_at
    return Large(
        (totals.first_at - starts_at.timestamp()) * 1000,
        _expansion(here.database_url, mailing),
        count / (totals.last_at - totals.first_at),
        await _steadiness(here.sandbox.control),
        {name: (memory, after[name]) for name, memory in before.items()},
    )


async def _steadiness(control: SandboxControl) -> float:
    """The rate of the last third of the time by that of the first; the seconds at both ends are not whole."""
    rates = [one.requests for one in (await control.seconds()).seconds][1:-1]
    third = len(rates) // 3
    return statistics.mean(rates[-third:]) / statistics.mean(rates[:third])


def _memory(here: World) -> dict[str, int]:
    """MiB of each process."""
    return {name: resident(process.pid) // 1024 for name, process in here.system.processes.items()}


def _expansion(database_url: str, mailing_id: int) -> float:
    """Seconds from `starts_at` until the last message was planned."""
    query = "SELECT extract(epoch FROM expanded_at - starts_at) FROM mailings WHERE id = %s"
    with psycopg.connect(database_url) as connection:
        row = connection.execute(query, (mailing_id,)).fetchone()
    assert row
    return float(row[0])


def _settle_directory(database_url: str) -> None:
    """As autovacuum would have long since."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) clients")
        connection.execute("CHECKPOINT")


async def run(servers: Servers, logs: Path, count: int) -> bool:
    """Everything, one after the other; whether all goals are reached."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    fractions = {}
    async with running_sandbox() as sandbox:
        for senders in SENDERS:
            async with world(servers, sandbox, logs, senders=senders) as here:
                fractions[senders] = await of_ideal(here, senders)
            rate = fractions[senders] * senders * IN_FLIGHT / LATENCY
            tell(f"{senders} senders: {rate:.0f}/s, {fractions[senders]:.2f} of the ideal")
        async with world(servers, sandbox, logs, senders=2) as here:
            large = await deliver_to_many(here, count)
    tell(
        f"{count} messages: the first {large.first_ms:.0f} ms after the start, expanded in {large.expanded:.1f} s,"
        f" {large.rate:.0f}/s, at the end {large.steady:.2f} times as fast as at the beginning"
    )
    for name, (before, after) in large.memory.items():
        tell(f"memory of {name}: {before} MiB after a quarter, {after} MiB at the end")
    of_ideals = " ".join(f"of_ideal_{senders}={fraction:.2f}" for senders, fraction in fractions.items())
    print(
        f"bench-scale: {of_ideals} large={count} first_ms={large.first_ms:.0f} expand_s={large.expanded:.1f}"
        f" rate={large.rate:.0f}/s steady={large.steady:.2f} memory_growth={large.growth:.2f}"
    )
    return (
        min(fractions.values()) >= OF_IDEAL
        and large.first_ms <= FIRST_MS
        and large.steady >= STEADY
        and large.growth <= GROWTH
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.scaling", description=__doc__)
    parser.add_argument("--large", type=int, default=LARGE, help="messages of the large mailing (%(default)s)")
    count: int = parser.parse_args().large
    state = REPOSITORY / ".local" / "bench-scale"
    logs = state / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with PrivateServers(state / "servers", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url))
        return 0 if asyncio.run(run(Servers(servers.database_url, servers.broker_url), logs, count)) else 1


if __name__ == "__main__":
    sys.exit(main())
