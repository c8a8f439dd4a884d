"""The system under chaos: two APIs, two planners, three senders, each with lines of its own that can be cut, on
servers that can be killed, and what is done to it."""

import asyncio
import time
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.stack import Servers as PrivateServers
from tests.chaos.proxy import Line
from tests.chaos.schedule import SERVICES, Deed, Step
from tests.chaos.verdict import Disruption
from tests.e2e.system import System
from tests.sandbox import Sandbox
from tests.servers import Servers
from tests.urls import with_address

LATENCY_MS = 20
# Everything that waits waits less than in earnest, so that minutes show what else takes hours.
ENVIRONMENT = {
    "MAILING_BACKOFF_FIRST": "1",
    "MAILING_BACKOFF_MOST": "3",
    "MAILING_REDELIVERY_GRACE": "6",
    "MAILING_REQUEST_TIMEOUT": "2",
    "MAILING_CONNECT_TIMEOUT": "1",
    "MAILING_LEASE": "10",
    "MAILING_LEASE_MARGIN": "6",
}


@dataclass(slots=True)
class World:
    """The system, its servers and its lines; `disruptions` is what has been done so far that may cause repeats."""

    servers: PrivateServers
    sandbox: Sandbox
    logs: Path
    concurrency: int
    system: System = field(init=False)
    lines: dict[str, Line] = field(default_factory=dict)
    disruptions: list[Disruption] = field(default_factory=list)
    kills: int = 0
    restarts: int = 0
    _restarting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _mending: set[asyncio.Task[None]] = field(default_factory=set)

    async def begin(self) -> None:
        """Starts every process, behind its lines."""
        url = urlsplit(self.sandbox.url)
        assert url.port
        ports = {
            "postgres": urlsplit(self.servers.database_url).port,
            "rabbitmq": urlsplit(self.servers.broker_url).port,
            "provider": url.port,
        }
        for name in SERVICES:
            for server, port in ports.items():
                assert port
                line = self.lines[f"{name}>{server}"] = Line(port)
                await line.mend()
        servers = Servers(self.servers.database_url, self.servers.broker_url)
        environment = ENVIRONMENT | {"MAILING_SENDER_CONCURRENCY": str(self.concurrency)}
        self.system = System(servers, self.sandbox, self.logs, environment)
        for name in SERVICES:
            await self.start(name)

    async def start(self, name: str) -> None:
        """Starts a service behind its lines; the first API keeps the port that the test speaks to."""
        environment = {
            "MAILING_DATABASE_URL": with_address(
                self.servers.database_url, self.lines[f"{name}>postgres"].address
            ),
            "MAILING_BROKER_URL": with_address(self.servers.broker_url, self.lines[f"{name}>rabbitmq"].address),
            "MAILING_PROVIDER_URL": with_address(self.sandbox.url, self.lines[f"{name}>provider"].address),
        }
        if name == "api-1":
            environment["MAILING_API_PORT"] = "0"
        await self.system.start(name.partition("-")[0], name, environment)

    async def carry_out(self, step: Step) -> None:
        """Does it; what has to be put right later is done in the background."""
        match step.deed:
            case Deed.KILL:
                await self._kill(step)
            case Deed.RESTART:
                self._later(0, self._restart(step.what))
            case Deed.CUT:
                await self._cut(step)
            case Deed.FAULT:
                await self._fault(step)

    def deaths(self) -> list[str]:
        """Services that ended although nobody killed them."""
        return [name for name, process in self.system.processes.items() if process.returncode is not None]

    async def settle(self) -> None:
        """Waits until everything that was broken is put right."""
        await asyncio.gather(*self._mending)
        await self.sandbox.control.behave("slow", latency_ms=LATENCY_MS)

    async def end(self) -> None:
        for task in self._mending:
            task.cancel()
        await asyncio.gather(*self._mending, return_exceptions=True)
        await self.system.close()
        for line in self.lines.values():
            await line.cut()

    async def _kill(self, step: Step) -> None:
        if step.what not in self.system.processes:
            return  # it is dead already, and will be started again
        if self.system.processes[step.what].returncode is not None:
            return  # it died by itself: `deaths` tells, and it is not helped
        began = time.time()
        await self.system.kill(step.what)
        self.kills += 1
        if step.what.startswith("sender"):
            self.disruptions.append(Disruption("sender killed", began, time.time()))
        self._later(step.seconds, self.start(step.what))

    async def _restart(self, server: str) -> None:
        """SIGKILL, and up again. It blocks, so it runs in a thread: everything else goes on meanwhile."""
        async with self._restarting:
            await self._kill_and_start(server)

    async def _kill_and_start(self, server: str) -> None:
        began = time.time()
        target = self.servers.rabbitmq if server == "rabbitmq" else self.servers.postgres
        assert target is not None
        outage = Disruption("broker unreachable", began, float("inf"))
        if server == "rabbitmq":
            self.disruptions.append(outage)
        await asyncio.to_thread(target.kill)
        await asyncio.to_thread(target.start)
        self.restarts += 1
        if server == "rabbitmq":
            self.disruptions[self.disruptions.index(outage)] = replace(outage, end=time.time())

    async def _cut(self, step: Step) -> None:
        began = time.time()
        await self.lines[step.what].cut()
        kind = {"rabbitmq": "broker unreachable", "provider": "provider faulty"}.get(step.what.partition(">")[2])
        if kind and step.what.startswith("sender"):
            self.disruptions.append(Disruption(kind, began, began + step.seconds + 0.2))
        self._later(step.seconds, self.lines[step.what].mend())

    async def _fault(self, step: Step) -> None:
        began = time.time()
        await self.sandbox.control.behave(step.what)
        self.disruptions.append(Disruption("provider faulty", began, began + step.seconds + 0.2))
        self._later(step.seconds, self._heal())

    async def _heal(self) -> None:
        await self.sandbox.control.behave("slow", latency_ms=LATENCY_MS)

    def _later(self, seconds: float, deed: Coroutine[object, object, None]) -> None:
        async def put_right() -> None:
            await asyncio.sleep(seconds)
            await deed

        task = asyncio.create_task(put_right())
        self._mending.add(task)
        task.add_done_callback(self._mending.discard)
