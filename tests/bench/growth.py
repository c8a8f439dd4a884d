"""`python -m tests.bench.growth`: whether the planner and the API become slower while the ledger grows.

For each size, a mailing is released and recorded by the planner's own functions, over a real RabbitMQ, and the
API is asked for pages. The last line is `growth: messages=… release_ms_p99=… record_per_s=… api_p99_ms=…
slowdown=…`: figures at the greatest size, and the rate there against that at the smallest. The exit status is 1
below the goal.
"""

import argparse
import asyncio
import random
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from aio_pika.abc import AbstractIncomingMessage
from pydantic import SecretStr
from pyreqwest.client import ClientBuilder

from deploy.local.stack import Servers as PrivateServers
from services.planner.recording import record
from services.planner.release import release
from services.planner.release_shares import MAX_JOBS_PER_ROUND
from services.planner.settings import PlannerSettings
from shared.broker.connection import close, connect
from shared.broker.publisher import Publisher
from shared.contracts import JOB, Acceptance, Job, JobReport, Report, utc_now
from shared.database.engine import open_engine
from shared.ledger.migrations import migrate
from shared.telemetry.log import configure
from shared.topology import SENDER_JOBS, declare
from tests.bench.growth_data import (
    MOST_CLIENTS,
    add_due_mailing,
    disk_bytes,
    grow,
    last_mailing,
    wal_position,
)
from tests.bench.growth_plot import svg
from tests.bench.reading import ask
from tests.e2e.system import System, until
from tests.sandbox import running_sandbox
from tests.servers import Servers
from tests.tokens import bearer, create_api_token

REPOSITORY = Path(__file__).parents[2]
SIZES = (1_000_000, 10_000_000, 100_000_000)
DUE = 200_000  # messages of the mailing that is released and recorded
READS, WARM, SEED = 300, 20, 1
WARM_TURNS = 5  # with less than a full round of jobs, on connections that have just been opened
GOAL = 0.9


@dataclass(frozen=True, slots=True)
class Measured:
    """Measurements at one size."""

    messages: int
    release_ms_p99: float
    release_per_s: float
    record_per_s: float
    api_p99_ms: float
    wal_bytes: float  # for each message: inserted, released and recorded
    disk_bytes: float  # for each message, all tables and indexes

    @property
    def rate(self) -> float:
        """Messages a second, if releasing and recording take turns."""
        return 1 / (1 / self.release_per_s + 1 / self.record_per_s)


@asynccontextmanager
async def jobs_published(broker_url: str) -> AsyncIterator[asyncio.Queue[Job]]:
    """Take the jobs out of RabbitMQ, as a sender does."""
    jobs: asyncio.Queue[Job] = asyncio.Queue()

    async def take(delivery: AbstractIncomingMessage) -> None:
        jobs.put_nowait(JOB.validate_json(delivery.body))

    connection = await connect(SecretStr(broker_url), "growth")
    try:
        queues = await declare(await connection.channel())
        await queues[SENDER_JOBS].purge()
        await queues[SENDER_JOBS].consume(take, no_ack=True)
        yield jobs
    finally:
        await close(connection)


def accepted(job: Job) -> JobReport:
    """Report every message of a job as accepted at its first POST."""
    now_ms = int(time.time() * 1000)
    acceptances = tuple(Acceptance(message.id, now_ms, 5) for message in job.messages)
    return JobReport(job_id=job.job_id, release=job.release, mailing_id=job.mailing_id, accepted=acceptances)


async def plan(servers: Servers, size: int) -> tuple[list[float], list[float]]:
    """Release and record a mailing in turns; return the seconds that each full turn took."""
    settings = PlannerSettings(
        database_url=SecretStr(servers.database_url), broker_url=SecretStr(servers.broker_url)
    )
    engine = open_engine(settings.database_url, "growth")
    publisher = Publisher(settings.broker_url, "growth publisher")
    released: list[float] = []
    recorded: list[float] = []
    try:
        async with jobs_published(servers.broker_url) as jobs:
            open_jobs = size // 100
            while open_jobs:
                began = time.perf_counter()
                count = await release(engine, publisher, settings, now=utc_now())
                released.append(time.perf_counter() - began)
                assert count, "due jobs are released"
                taken = [await asyncio.wait_for(jobs.get(), 10) for _ in range(count)]
                report = Report(sender="sender@bench:1", jobs=tuple(map(accepted, taken)))
                began = time.perf_counter()
                await record(engine, [report], now=utc_now(), policy=settings.policy(), chunk=100)
                recorded.append(time.perf_counter() - began)
                open_jobs -= count
    finally:
        await publisher.close()
        await engine.dispose()
    return released[WARM_TURNS:-1], recorded[WARM_TURNS:-1]


async def read(url: str, token: str, mailings: int, clients: int) -> list[float]:
    """Ask the API for pages of a mailing, mailings, a mailing, and a person; return the seconds of each answer."""
    chance = random.Random(SEED)
    took: list[float] = []
    async with ClientBuilder().default_headers(bearer(token)).no_proxy().build() as http:
        for number in range(READS + WARM):
            mailing, client = chance.randint(1, mailings), chance.randint(1, clients)
            for path in (
                f"/api/mailing/?after={mailing}",
                f"/api/mailing/{mailing}/",
                f"/api/mailing/{mailing}/messages/?status=sent",
                f"/api/message/?number={79_000_000_000 + client}",
            ):
                began = time.perf_counter()
                await ask(http, "GET", url + path)
                if number >= WARM:
                    took.append(time.perf_counter() - began)
    return took


async def measure(servers: Servers, system: System, messages: int, due: int) -> Measured:
    url = str(system.api.base_url).rstrip("/")
    token = await create_api_token(servers.database_url)
    api = await read(url, token, last_mailing(servers.database_url), min(messages, MOST_CLIENTS))
    wal = wal_position(servers.database_url)
    await asyncio.to_thread(add_due_mailing, servers.database_url, due)
    released, recorded = await plan(servers, due)
    wal = wal_position(servers.database_url) - wal
    return Measured(
        messages,
        percentile_ms(released),
        MAX_JOBS_PER_ROUND * 100 * len(released) / sum(released),
        MAX_JOBS_PER_ROUND * 100 * len(recorded) / sum(recorded),
        percentile_ms(api),
        wal / due,
        disk_bytes(servers.database_url) / (messages + due),
    )


def percentile_ms(seconds: Sequence[float]) -> float:
    """Return the 99th percentile, in milliseconds."""
    return statistics.quantiles(seconds, n=100)[98] * 1000


def last_line(measured: Sequence[Measured]) -> str:
    first, last = measured[0], measured[-1]
    return (
        f"growth: messages={last.messages} release_ms_p99={last.release_ms_p99:.1f}"
        f" record_per_s={last.record_per_s:.0f} api_p99_ms={last.api_p99_ms:.1f}"
        f" slowdown={last.rate / first.rate:.2f}"
    )


def draw(measured: Sequence[Measured], caption: str) -> str:
    """Return the rates at each size as a picture."""
    rates = {
        "released": [one.release_per_s for one in measured],
        "recorded": [one.record_per_s for one in measured],
    }
    return svg([one.messages for one in measured], rates, caption)


async def run(servers: Servers, logs: Path, sizes: Sequence[int], due: int) -> list[Measured]:
    """Measure at each size; the ledger only grows."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {what}", flush=True)

    measured: list[Measured] = []
    async with running_sandbox() as sandbox:
        system = System(servers, sandbox, logs, {"MAILING_LOG_LEVEL": "warning"})
        try:
            await system.start("api")
            await until(system.is_ready, timeout=30, what="the API is ready")
            for size in sizes:
                await asyncio.to_thread(grow, servers.database_url, size, tell)
                measured.append(await measure(servers, system, size, due))
                tell(f"{measured[-1]}")
        finally:
            await system.close()
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    parser.add_argument("--messages", type=int, nargs="+", default=SIZES, help="sizes of the ledger, ascending")
    parser.add_argument(
        "--due", type=int, default=DUE, help="messages that are released and recorded at each size"
    )
    parser.add_argument("--plot", type=Path, help="a file for the figures as a picture, SVG")
    arguments = parser.parse_args()
    configure("growth", "warning", "console")
    state = REPOSITORY / ".local" / "bench-growth"
    logs = state / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with PrivateServers(state / "servers", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url.replace("postgresql://", "postgresql+psycopg://", 1)))
        found = Servers(servers.database_url, servers.broker_url)
        measured = asyncio.run(run(found, logs, arguments.messages, arguments.due))
    if arguments.plot:
        arguments.plot.write_text(draw(measured, f"measured {datetime.now(UTC):%Y-%m-%d} by make bench-growth"))
    print(last_line(measured))
    return 0 if measured[-1].rate / measured[0].rate >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
