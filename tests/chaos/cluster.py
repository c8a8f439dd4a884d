"""`python -m tests.chaos.cluster`: a mailing over a RabbitMQ cluster of three nodes, of which each is killed
and brought back in turn, then the leader of each queue. The last line and the conclusion are `tests.chaos`'s."""

import asyncio
import random
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from deploy.local.stack import Servers as PrivateServers
from shared.ledger.migrations import migrate
from shared.topology import QUEUES
from tests.chaos.__main__ import REPOSITORY, TAG, Options, all_is_quiet, is_settled, reckon, within
from tests.chaos.rabbitmq_cluster import PrivateCluster
from tests.chaos.schedule import SERVICES
from tests.chaos.verdict import read_ledger
from tests.chaos.world import ENVIRONMENT, LATENCY_MS, World
from tests.directory import add_clients
from tests.e2e.system import System, until
from tests.sandbox import running_sandbox
from tests.servers import Servers

DOWN_FOR = 4.0  # seconds that a killed node stays away


@dataclass(slots=True)
class ClusterWorld(World):
    """Services without proxies: only nodes are killed here, so that nothing excuses a repeated POST."""

    async def begin(self) -> None:
        servers = Servers(self.servers.database_url, self.servers.broker_url)
        environment = ENVIRONMENT | {"MAILING_SENDER_CONCURRENCY": str(self.concurrency)}
        self.system = System(servers, self.sandbox, self.logs, environment)
        for name in SERVICES:
            await self.start(name)

    async def start(self, name: str) -> None:
        another_port = {"MAILING_API_PORT": "0"} if name == "api-1" else {}
        await self.system.start(name.partition("-")[0], name, another_port)


async def run(options: Options, state: Path) -> bool:
    shutil.rmtree(state, ignore_errors=True)
    logs = state / "logs"
    logs.mkdir(parents=True)
    with PrivateCluster(state / "cluster") as cluster:
        environment = {"MAILING_BROKER_URL": cluster.url}
        with PrivateServers(state / "servers", throwaway=True, environment=environment) as servers:
            migrate(SecretStr(servers.database_url))
            async with running_sandbox() as sandbox:
                await sandbox.control.behave("slow", latency_ms=LATENCY_MS)
                world = ClusterWorld(servers, sandbox, logs, options.concurrency)
                await world.begin()
                try:
                    return await disturb_and_reckon(world, cluster, options)
                finally:
                    await world.end()


async def disturb_and_reckon(world: ClusterWorld, cluster: PrivateCluster, options: Options) -> bool:
    await until(world.system.is_ready, timeout=60, what="the API is ready")
    add_clients(world.servers.database_url, TAG, options.messages)
    mailing = await world.system.add_mailing(TAG)
    deadline = time.monotonic() + options.minutes * 60
    for name in cluster.names:
        await kill_and_bring_back(world, cluster, name)
    for queue in QUEUES:
        await kill_and_bring_back(world, cluster, await asyncio.to_thread(cluster.leader, queue.name))
    in_the_middle = not await is_settled(world, mailing, options.messages)
    print(f"chaos: every node and every leader was killed {'in mid-mailing' if in_the_middle else 'too late'}")
    settled = await within(
        deadline, lambda: is_settled(world, mailing, options.messages), "every message is in a final state"
    )
    quiet = await within(deadline, lambda: all_is_quiet(world), "queues, outbox and jobs are empty")
    ledger = read_ledger(world.servers.database_url, mailing, TAG)
    return await reckon(world, options, ledger) and settled and quiet and in_the_middle


async def kill_and_bring_back(world: ClusterWorld, cluster: PrivateCluster, name: str) -> None:
    print(f"chaos: killing node {name}", flush=True)
    await asyncio.to_thread(cluster.kill, name)
    world.kills += 1
    await asyncio.sleep(DOWN_FOR)
    await asyncio.to_thread(cluster.start_node, name)
    await asyncio.to_thread(cluster.await_whole)
    world.restarts += 1


if __name__ == "__main__":
    seed = random.randrange(10**6)
    wanted = Options(seed=seed, messages=20_000, minutes=9.0, pause=0.0, concurrency=1)
    sys.exit(0 if asyncio.run(run(wanted, REPOSITORY / ".local" / "chaos-cluster")) else 1)
