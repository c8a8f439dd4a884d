"""`python -m tests.bench`: how many messages a second, end to end, against Celery, Dramatiq and the floor.

All on the same PostgreSQL and RabbitMQ, and with the same provider (nginx, which writes down every id). The last
line is `bench: ours=… celery=… dramatiq=… floor=… vs_celery=… vs_dramatiq=… vs_floor=… bytes_per_message=…
sender_us=… planner_us=…`. The floor is the sum of two times: the same POSTs by the bare engine, and the ledger's
statements alone. The last two are microseconds of CPU for a message, over all senders and planners. The exit
status is 1 if a contestant lost or repeated a message. A complete run that went well writes the table of
docs/benchmarks.md and docs/bench.svg.
"""

import argparse
import asyncio
import shutil
import sys
import time
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr
from rich.console import Console

from deploy.local.errors import LocalStackError
from deploy.local.stack import Servers as PrivateServers
from shared.ledger.migrations import migrate
from tests.bench.contestants import CONTESTANTS, WARM, World, bytes_per_message
from tests.bench.nginx import Nginx
from tests.bench.processor import Used, seconds_by_kind
from tests.bench.publishing import PAGE, PLOT, machine, publish, versions
from tests.bench.results import Problem, Result, last_line, summarize, terminal_table
from tests.servers import Servers

REPOSITORY = Path(__file__).parents[2]
LOCK = REPOSITORY / "requirements-bench.lock"
MESSAGES, ROUNDS = 50_000, 3
# On a slow machine, Celery and Dramatiq get fewer in the later rounds: their rate does not depend on the number.
BASELINES = ("celery", "dramatiq")
FEWER = 10_000
TIME = 540.0  # seconds for all rounds


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--messages", type=int, default=MESSAGES, help="of each (default: %(default)s)")
    parser.add_argument("--baseline-messages", type=int, help="of Celery and Dramatiq (default: as many)")
    parser.add_argument("--only", default="", help="those whose names begin so: ours, ours-1, celery,floor …")
    return parser.parse_args()


async def run_round(name: str, messages: int, world: World) -> Result:
    """One contestant, once."""
    world.nginx.take()
    async with CONTESTANTS[name](world, messages) as contestant:
        before, busy = Used.until_now(world.nginx.pid), seconds_by_kind(contestant.pids())
        seconds = await contestant.deliver()
        used = Used.until_now(world.nginx.pid).since(before)
        spent = {kind: now - busy[kind] for kind, now in seconds_by_kind(contestant.pids()).items()}
        recorded = contestant.recorded()
    received = world.nginx.take()
    stored = bytes_per_message(world.servers.database_url) if name.startswith("ours") else None
    problem = Problem.found(messages + WARM, recorded, received)
    cpu_us = {kind: 1e6 * one / messages for kind, one in spent.items()}
    return Result(name, messages, seconds, used.share, problem, stored, cpu_us)


async def run(options: argparse.Namespace, world: World) -> list[Result]:
    """All rounds: everybody's turn in each."""
    only = tuple(options.only.split(","))
    baseline_messages = options.baseline_messages or options.messages
    results = []
    began = time.monotonic()
    for number in range(1, options.rounds + 1):
        for name in (name for name in CONTESTANTS if name.startswith(only)):
            messages = baseline_messages if name in BASELINES else options.messages
            result = await run_round(name, messages, world)
            world.tell(f"round {number}: {result}")
            results.append(result)
        if (time.monotonic() - began) / number * options.rounds > TIME:
            baseline_messages = min(baseline_messages, FEWER)
    return results


def main() -> int:
    options = arguments()
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    state = REPOSITORY / ".local" / "bench"
    logs = state / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with (
        PrivateServers(state / "servers", throwaway=True, environment={}, notify=tell) as servers,
        Nginx(state / "nginx") as nginx,
    ):
        migrate(SecretStr(servers.database_url))
        world = World(Servers(servers.database_url, servers.broker_url), nginx, logs, tell)
        used = versions(servers, LOCK, nginx.version)
        tell(f"{machine()}; {used}")
        results = asyncio.run(run(options, world))
    summaries = summarize(results)
    Console(soft_wrap=True).print(terminal_table(summaries))
    wrong = [result for result in results if result.problem]
    for result in wrong:
        tell(str(result))
    complete = (options.rounds, options.messages, options.only) == (ROUNDS, MESSAGES, "")
    if complete and not wrong:
        publish(summaries, machine(), used)
        tell(f"written into {PAGE.relative_to(REPOSITORY)} and {PLOT.relative_to(REPOSITORY)}")
    tell("that was all")
    print(last_line(summaries))
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, LocalStackError, httpx.HTTPError, psycopg.Error) as error:
        sys.exit(f"bench: {error}")
