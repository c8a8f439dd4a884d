"""`python -m tests.bench`: how many messages a second, end to end, against Celery, Dramatiq and the bare HTTP loop.

All on the same PostgreSQL and RabbitMQ, and with the same provider (nginx, which writes down every id). The last line
is `bench: ours=… celery=… dramatiq=… bare=… vs_celery=… vs_dramatiq=… vs_bare=… bytes_per_message=…`; exit status 1
if a contestant lost or repeated a message.
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

from deploy.local.errors import LocalStackError
from deploy.local.stack import Servers as PrivateServers
from shared.migrations import migrate
from tests.bench.contestants import CONTESTANTS, World, bytes_per_message
from tests.bench.nginx import Nginx
from tests.bench.processor import Used
from tests.bench.results import Problem, Result, last_line, table
from tests.servers import Servers

REPOSITORY = Path(__file__).parents[2]
MESSAGES = 50_000
BASELINES = ("celery", "dramatiq")
BASELINE_MESSAGES = 10_000


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    parser.add_argument(
        "--baseline-messages",
        type=int,
        default=BASELINE_MESSAGES,
        help="of Celery and Dramatiq in all rounds but the first (default: %(default)s)",
    )
    parser.add_argument(
        "--only", default="", help="those whose names begin so: ours, ours-1, celery, … with commas"
    )
    return parser.parse_args()


async def run_round(name: str, messages: int, world: World) -> Result:
    """One contestant, once."""
    world.nginx.take()
    async with CONTESTANTS[name](world, messages) as contestant:
        before = Used.until_now(world.nginx.pid)
        seconds = await contestant.deliver()
        used = Used.until_now(world.nginx.pid).since(before)
        recorded = contestant.recorded()
    received = world.nginx.take()
    stored = bytes_per_message(world.servers.database_url) if name.startswith("ours") else None
    return Result(name, messages, seconds, used.share, Problem.found(recorded, received), stored)


async def run(options: argparse.Namespace, world: World) -> list[Result]:
    only = tuple(options.only.split(","))
    results = []
    for number in range(options.rounds):
        for name in (name for name in CONTESTANTS if name.startswith(only)):
            few = number > 0 and name in BASELINES
            messages = min(options.baseline_messages, options.messages) if few else options.messages
            result = await run_round(name, messages, world)
            world.tell(f"round {number + 1}: {result}")
            results.append(result)
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
        PrivateServers(state / "servers", throwaway=True, environment={}, say=tell) as servers,
        Nginx(state / "nginx") as nginx,
    ):
        migrate(SecretStr(servers.database_url.replace("postgresql://", "postgresql+psycopg://", 1)))
        world = World(Servers(servers.database_url, servers.broker_url), nginx, logs, tell)
        results = asyncio.run(run(options, world))
    print(table(results))
    tell("that was all")
    print(last_line(results))
    return 1 if any(result.problem for result in results) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (AssertionError, LocalStackError, httpx.HTTPError, psycopg.Error) as error:
        sys.exit(f"bench: {error}")
