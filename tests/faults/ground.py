"""Ground that every case stands on: servers, a provider, and the processes of one case.

A case starts the processes that it needs, each with its own environment and, if it wants to, behind lines that can
be cut or silenced.
"""

import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from deploy.local.stack import Servers as PrivateServers
from deploy.sandbox.ledger import Received
from tests.chaos.proxy import Line
from tests.e2e.system import Environment, running_system, until
from tests.faults.findings import Findings
from tests.rules.world import World
from tests.sandbox import Sandbox
from tests.servers import Servers, empty_queues, empty_tables
from tests.urls import with_address

TAG = "#faults"
ONCE = {"MAILING_PROVIDER_IDEMPOTENT": "false"}
# Times that make a case short. The defaults are longer.
QUICK: Environment = {
    "MAILING_REDELIVERY_GRACE": "4",
    "MAILING_REQUEST_TIMEOUT": "2",
    "MAILING_BACKOFF_FIRST": "1",
}


@dataclass(slots=True)
class Ground:
    """Servers, provider and random numbers of a run. Cases run one after the other."""

    servers: PrivateServers
    sandbox: Sandbox
    logs: Path
    chance: random.Random
    _cases: int = field(default=0)

    @property
    def cases(self) -> int:
        """Number of the present case, from 1 on."""
        return self._cases

    @asynccontextmanager
    async def world(
        self, *, senders: int = 2, planners: int = 1, environment: Environment | None = None
    ) -> AsyncIterator[World]:
        """Run a system on empty servers, with a provider that has received nothing."""
        self._cases += 1
        logs = self.logs / f"{self._cases:02}"
        logs.mkdir(parents=True)
        empty_tables(self.servers.database_url)
        await empty_queues(self.servers.broker_url)
        await self.sandbox.reset()
        servers = Servers(self.servers.database_url, self.servers.broker_url)
        async with running_system(
            servers, self.sandbox, logs, senders=senders, planners=planners, environment=environment
        ) as system:
            try:
                yield World(system, self.sandbox, servers.database_url)
            finally:
                for process in system.processes.values():
                    if process.returncode is None:
                        process.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def broker_lines(self, count: int) -> AsyncIterator[list[Line]]:
        """Lines to the broker, all mended."""
        port = urlsplit(self.servers.broker_url).port
        assert port
        async with AsyncExitStack() as stack:
            lines = [Line(port) for _ in range(count)]
            for line in lines:
                await line.mend()
                stack.push_async_callback(line.cut)
            yield lines

    def behind(self, line: Line) -> Environment:
        """Return the environment of a process that reaches the broker by this line only."""
        return {"MAILING_BROKER_URL": with_address(self.servers.broker_url, line.address)}


Run = Callable[[Ground], Awaitable[Findings]]


@dataclass(frozen=True, slots=True)
class Case:
    """A named case. `is_short`: it takes a few seconds and belongs to the short form."""

    name: str
    run: Run
    is_short: bool = False


async def until_consuming(world: World, senders: int) -> None:
    """Wait until so many senders take jobs."""

    async def consume() -> bool:
        logs = world.system.logs.glob("*.log")
        return sum("jobs_requested" in log.read_text() for log in logs) >= senders

    await until(consume, timeout=30, what=f"{senders} senders take jobs")


def uncertain_of(world: World, mailing_id: int) -> set[int]:
    """Return the messages of the mailing that ended as uncertain."""
    ends = world.zone_and_end_by_message(mailing_id)
    return {message_id for message_id, (_, status, _) in ends.items() if status == "uncertain"}


def count_jobs(database_url: str) -> int:
    """Return how many jobs there have been."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT count(*) FROM jobs").fetchone()
        assert row is not None
        return int(row[0])


def repeated(received: list[Received]) -> list[Received]:
    """Return what arrived more than once."""
    return [one for one in received if one.count > 1]
