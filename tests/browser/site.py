"""The running system with its console, and the data that pages need."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import httpx
from pydantic import JsonValue

from deploy.local.ports import free_ports
from shared.contracts import utc_now
from tests.e2e.system import System, running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers
from tests.tokens import create_api_token

ZONES = ("Europe/Moscow", "Asia/Yekaterinburg", "Asia/Omsk", "Asia/Vladivostok", "Europe/Kaliningrad")


@dataclass(frozen=True, slots=True)
class Site:
    """A console at `url`, and the system behind it."""

    system: System
    sandbox: Sandbox
    url: str
    console_environment: dict[str, str]
    token: str  # of an admin

    async def add_clients(self, tag: str, count: int, first: int) -> None:
        """Import clients with consecutive numbers, spread over some zones."""
        rows = [f'{number},"{tag}",{ZONES[number % len(ZONES)]}' for number in range(first, first + count)]
        answer = await self.system.api.post(
            "/api/client/import/",
            content="\n".join(["number,tag,zone", *rows]).encode(),
            headers={"Content-Type": "text/csv"},
        )
        assert answer.json()["added"] == count, answer.text

    async def add_mailing(self, tag: str, text: str, **changes: JsonValue) -> int:
        """Create a mailing to a tag, by default one that starts at once and lasts an hour; return its id."""
        now = utc_now()
        body: dict[str, JsonValue] = {
            "starts_at": now.isoformat(),
            "expired_at": (now + timedelta(hours=1)).isoformat(),
            "text": text,
            "filter": {"tag": [tag]},
        }
        answer = await self.system.api.post("/api/mailing/", json=body | changes)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return int(answer.json()["id"])

    async def control(self, mailing_id: int, action: str) -> None:
        """Pause, resume or cancel a mailing."""
        answer = await self.system.api.post(f"/api/mailing/{mailing_id}/{action}/")
        assert answer.status_code == httpx.codes.OK, answer.text

    async def until_console_ready(self) -> None:
        """Wait until the console answers and reaches its API."""
        async with httpx.AsyncClient(trust_env=False) as http:

            async def is_ready() -> bool:
                try:
                    return (await http.get(f"{self.url}/readyz")).status_code == httpx.codes.OK
                except httpx.TransportError:
                    return False

            await until(is_ready, timeout=30, what="the console is ready")


@asynccontextmanager
async def running_site(servers: Servers, sandbox: Sandbox, logs: Path) -> AsyncIterator[Site]:
    """The whole system with a console; ended afterwards."""
    quick = {"MAILING_BACKOFF_FIRST": "1", "MAILING_BACKOFF_MOST": "2"}
    async with running_system(servers, sandbox, logs, environment=quick) as system:
        (port,) = free_ports(1)
        environment = {
            "MAILING_CONSOLE_PORT": str(port),
            "MAILING_API_URL": str(system.api.base_url).rstrip("/"),
        }
        await system.start("console", environment=environment)
        token = await create_api_token(servers.database_url)
        site = Site(system, sandbox, f"http://127.0.0.1:{port}", environment, token)
        await site.until_console_ready()
        yield site
