"""`python -m tests.chaos`: a mailing through processes that are killed, servers that are restarted, lines that are
cut and a provider that fails, by a schedule that follows from the seed; then a reckoning of every message.

The last line is `chaos: seed=… messages=… kills=… restarts=… lost=0 unsettled=0 repeated=…
repeated_not_in_flight=0 counters=ok`; exit status 1 if any message was lost, repeated without need, or left open.
"""

import argparse
import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr

from deploy.local.stack import Servers as PrivateServers
from shared.broker.connection import close, connect
from shared.ledger.migrations import migrate
from shared.topology import QUEUES, dead_queue, declare
from tests.chaos.schedule import schedule
from tests.chaos.verdict import Ledger, read_ledger, unexcused
from tests.chaos.world import LATENCY_MS, World
from tests.directory import add_clients
from tests.e2e.system import until
from tests.sandbox import running_sandbox

TAG = "#chaos"
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Options:
    seed: int
    messages: int
    minutes: float  # within which it must be over
    pause: float  # seconds between deeds, on average
    concurrency: int  # of each sender: few, so that the mailing lasts


def arguments() -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--pause", type=float, default=1.5)
    parser.add_argument("--concurrency", type=int, default=4)
    return Options(**vars(parser.parse_args()))


async def run(options: Options, state: Path) -> bool:
    """Runs it and prints the reckoning; whether all is well."""
    print(f"chaos: seed {options.seed} (--seed {options.seed} replays the schedule)", flush=True)
    logs = state / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    with PrivateServers(state / "servers", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url))
        async with running_sandbox() as sandbox:
            await sandbox.control.behave("slow", latency_ms=LATENCY_MS)
            world = World(servers, sandbox, logs, options.concurrency)
            await world.begin()
            try:
                return await disturb_and_reckon(world, options)
            finally:
                await world.end()


async def disturb_and_reckon(world: World, options: Options) -> bool:
    """The mailing, the deeds, and the reckoning."""
    await until(world.system.is_ready, timeout=60, what="the API is ready")
    add_clients(world.servers.database_url, TAG, options.messages)
    mailing = await world.system.add_mailing(TAG)
    began = time.monotonic()
    deadline = began + options.minutes * 60
    for step in schedule(options.seed, options.pause):
        await asyncio.sleep(max(began + step.at - time.monotonic(), 0))
        if await is_settled(world, mailing, options.messages) or time.monotonic() > deadline - 60:
            break
        print(f"{time.monotonic() - began:6.1f} s  {step.deed} {step.what}", flush=True)
        await world.carry_out(step)
    await world.settle()
    settled = await within(
        deadline, lambda: is_settled(world, mailing, options.messages), "every message is in a final state"
    )
    quiet = await within(deadline, lambda: all_is_quiet(world), "queues, outbox and jobs are empty")
    ledger = read_ledger(world.servers.database_url, mailing, TAG)
    return await reckon(world, options, ledger) and settled and quiet


async def within(deadline: float, condition: Callable[[], Awaitable[bool]], what: str) -> bool:
    """Return True if the condition came true in time; print it if not."""
    try:
        await until(condition, timeout=max(deadline - time.monotonic(), 30), what=what)
    except AssertionError as error:
        print(f"chaos: {error}", flush=True)
        return False
    return True


async def reckon(world: World, options: Options, ledger: Ledger) -> bool:
    """Compares the ledger with what the provider received; prints the last line."""
    received = await world.sandbox.control.messages()
    taken = {message.id for message in received if message.accepted}
    lost = len(ledger.sent - taken) + ledger.without_message
    repeated = [message for message in received if message.count > 1]
    not_in_flight = unexcused(repeated, world.disruptions)
    if not_in_flight:
        print(f"chaos: repeated without need: {not_in_flight[:20]}")
    deaths = world.deaths()
    if deaths:
        print(f"chaos: died by themselves: {', '.join(deaths)}; see {world.logs}")
    well = not deaths and ledger.counters_equal_rows and len(ledger.sent) == ledger.audience == options.messages
    if not well:
        print(
            f"chaos: of {ledger.audience} clients {len(ledger.sent)} are sent to, {ledger.open_jobs} jobs are open"
        )
    print(
        f"chaos: seed={options.seed} messages={ledger.audience} kills={world.kills} restarts={world.restarts}"
        f" lost={lost} unsettled={ledger.unsettled} repeated={len(repeated)}"
        f" repeated_not_in_flight={len(not_in_flight)} counters={'ok' if ledger.counters_equal_rows else 'wrong'}"
    )
    return well and not lost and not ledger.unsettled and not not_in_flight


async def is_settled(world: World, mailing: int, total: int) -> bool:
    """Return True if the API reports it; False while the API does not answer."""
    try:
        status = await world.system.status(mailing)
    except (httpx.HTTPError, AssertionError):
        return False
    return status.get("total") == total and not status.get("new") and not status.get("active")


async def all_is_quiet(world: World) -> bool:
    """No queue, dead letters included, holds anything; no job is open; the outbox is empty."""
    with psycopg.connect(world.servers.database_url) as database:
        row = database.execute(
            "SELECT (SELECT count(*) FROM jobs WHERE state <> 'done'), (SELECT count(*) FROM outbox)"
        ).fetchone()
    connection = await connect(SecretStr(world.servers.broker_url), "chaos")
    try:
        channel = await connection.channel()
        names = [*(await declare(channel))]
        names += [dead_queue(queue.name) for queue in QUEUES if queue.dead_letters]
        waiting = [
            (await channel.declare_queue(name, passive=True)).declaration_result.message_count or 0
            for name in names
        ]
    finally:
        await close(connection)
    return row == (0, 0) and not any(waiting)


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(run(arguments(), REPOSITORY / ".local" / "chaos")) else 1)
