"""The whole system as processes, for tests that use it by REST and kill its services."""

import asyncio
import itertools
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

import httpx

from deploy.local.ports import free_ports
from shared.contracts import utc_now
from tests.patience import Patience
from tests.servers import Servers
from tests.tokens import TokenOnDemand

REPOSITORY = Path(__file__).parents[2]
FINAL = ("sent", "failed", "expired", "canceled", "uncertain")

Environment = dict[str, str]

_serials = itertools.count(1)  # of audiences, so that systems may share a database


class Provider(Protocol):
    """Address and token of a provider."""

    @property
    def url(self) -> str: ...

    @property
    def token(self) -> str: ...


class MailingFields(TypedDict, total=False):
    """Fields of a mailing besides its audience."""

    starts_at: datetime
    expired_at: datetime
    text: str
    rate: float


@dataclass(frozen=True, slots=True)
class Audience:
    """Clients with their own tag and consecutive numbers."""

    tag: str
    numbers: range


class System:
    """Services as processes; `api` is a client of the first API."""

    def __init__(self, servers: Servers, provider: Provider, logs: Path, environment: Environment) -> None:
        (self._port,) = free_ports(1)
        self.logs = logs
        self._environment = {
            **os.environ,
            "MAILING_DATABASE_URL": servers.database_url,
            "MAILING_BROKER_URL": servers.broker_url,
            "MAILING_API_PORT": str(self._port),
            "MAILING_PROVIDER_URL": provider.url,
            "MAILING_PROVIDER_TOKEN": provider.token,
            "MAILING_LOG_FORMAT": "json",
            **environment,
        }
        self.processes: dict[str, asyncio.subprocess.Process] = {}
        self.api = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}",
            auth=TokenOnDemand(servers.database_url),
            trust_env=False,
            timeout=30,
        )

    async def start(
        self,
        service: str,
        name: str | None = None,
        environment: Environment | None = None,
        *,
        folder: Path = REPOSITORY,
        log: int | None = None,
    ) -> str:
        """Start `python -m services.<service>` of the release in `folder`; return its name here.

        `log` replaces the file that it logs to.
        """
        name = name or service
        with (self.logs / f"{name}.log").open("ab") as file:
            self.processes[name] = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", f"services.{service}"),
                cwd=folder,
                env=self._environment | (environment or {}),
                stdout=file,
                stderr=file if log is None else log,
            )
        return name

    async def kill(self, name: str) -> None:
        """End a process by SIGKILL."""
        process = self.processes.pop(name)
        process.kill()
        await process.wait()

    async def terminate(self, name: str) -> int:
        """End a process by SIGTERM, and return the exit status."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(process.wait(), 15)

    async def close(self) -> None:
        """End all processes."""
        await self.api.aclose()
        for process in self.processes.values():
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for name, process in self.processes.items():
            try:
                await asyncio.wait_for(process.wait(), 15)
            except TimeoutError:
                process.kill()
                raise AssertionError(f"{name} did not end on SIGTERM") from None

    async def is_ready(self) -> bool:
        """Return True if the API reports that it and its database are ready."""
        try:
            return (await self.api.get("/readyz")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    async def add_audience(self, count: int) -> Audience:
        """Creates clients that no other test has."""
        serial = next(_serials)
        tag, first = f"#audience-{serial}", 79_050_000_000 + serial * 1_000
        audience = Audience(tag, range(first, first + count))
        rows = ["number,tag,zone", *(f"{number},{tag},Europe/Moscow" for number in audience.numbers)]
        header = {"Content-Type": "text/csv"}
        response = await self.api.post("/api/client/import/", content="\n".join(rows), headers=header)
        assert response.status_code == httpx.codes.OK, response.text
        assert response.json()["added"] == count
        return audience

    async def add_client(self, number: int, *, tag: str, zone: str = "Europe/Moscow") -> int:
        """Creates a client; returns its id."""
        response = await self.api.post("/api/client/", json={"number": number, "tag": tag, "zone": zone})
        assert response.status_code == httpx.codes.CREATED, response.text
        return int(response.json()["id"])

    async def add_mailing(self, tag: str, **fields: Unpack[MailingFields]) -> int:
        """Creates a mailing, by default one that starts at once; returns its id."""
        now = utc_now()
        body = {
            "starts_at": fields.get("starts_at", now - timedelta(minutes=1)).isoformat(),
            "expired_at": fields.get("expired_at", now + timedelta(hours=1)).isoformat(),
            "text": fields.get("text", "hello"),
            "filter": tag,
            "rate": fields.get("rate"),
        }
        response = await self.api.post("/api/mailing/", json=body)
        assert response.status_code == httpx.codes.CREATED, response.text
        return int(response.json()["id"])

    async def status(self, mailing_id: int) -> dict[str, int]:
        """The mailing's counters that are not zero, as the API gives them."""
        response = await self.api.get(f"/api/mailing/{mailing_id}/")
        assert response.status_code == httpx.codes.OK, response.text
        return {name: count for name, count in response.json()["messages_status"].items() if count}

    async def until_settled(self, mailing_id: int, total: int, *, timeout: float = 60) -> dict[str, int]:
        """Wait until all messages are in a final state, and return the counters."""

        async def settled() -> bool:
            status = await self.status(mailing_id)
            return sum(status.get(name, 0) for name in FINAL) == total == status.get("total", 0)

        await until(settled, timeout=timeout, what=f"all {total} messages of mailing {mailing_id} are settled")
        return await self.status(mailing_id)


async def until(condition: Callable[[], Awaitable[bool]], *, timeout: float, what: str) -> None:
    """Wait for a condition; fail after `timeout` seconds of an idle machine, later on a busy one."""
    patience = Patience(timeout)
    while not await condition():
        assert not patience.is_over(), f"waited {patience.waited:.0f} s in vain until {what}"
        await asyncio.sleep(0.02)


async def slowest_answer(system: System, *, seconds: float) -> float:
    """Return the 95th percentile of the seconds that the API needs to create a client and list the mailings."""
    took: list[float] = []
    end = time.monotonic() + seconds
    number = 79_100_000_000 + time.monotonic_ns() // 1_000_000 % 10**8
    while time.monotonic() < end:
        began = time.perf_counter()
        number += 1
        await system.add_client(number, tag="#usual")
        (await system.api.get("/api/mailing/")).raise_for_status()
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return sorted(took)[int(len(took) * 0.95)]


@asynccontextmanager
async def running_system(
    servers: Servers,
    provider: Provider,
    logs: Path,
    *,
    senders: int = 2,
    planners: int = 1,
    environment: Environment | None = None,
) -> AsyncIterator[System]:
    """Run one API and several planners and senders; end all of them afterwards."""
    system = System(servers, provider, logs, environment or {})
    try:
        await system.start("api")
        for number in range(planners):
            await system.start("planner", f"planner-{number}")
        for number in range(senders):
            await system.start("sender", f"sender-{number}")
        await until(system.is_ready, timeout=30, what="the API is ready")
        for name, process in system.processes.items():
            assert process.returncode is None, f"{name} ended: {(logs / name).with_suffix('.log').read_text()}"
        yield system
    finally:
        await system.close()
