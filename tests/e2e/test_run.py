"""`make run`: what a person meets who starts the whole system on this machine."""

import asyncio
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.e2e.system import REPOSITORY, until
from tests.servers import Servers


@asynccontextmanager
async def running(servers: Servers, state: Path) -> AsyncIterator[tuple[Process, str]]:
    """Run the system with one sender, and yield what it has printed until its addresses are complete."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.local", "run", "--senders", "1", "--state", str(state)),
        cwd=REPOSITORY,
        env=os.environ
        | {"MAILING_DATABASE_URL": servers.database_url, "MAILING_BROKER_URL": servers.broker_url}
        | {"MAILING_API_PORT": "0", "MAILING_CONSOLE_PORT": "0"},
        stdout=PIPE,
        stderr=asyncio.subprocess.STDOUT,
        # A shell that starts the tests in the background has Ctrl-C ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        assert process.stdout is not None
        yield process, (await process.stdout.readuntil(b"Ctrl-C stops everything")).decode()
    finally:
        if process.returncode is None:  # else its services would take the jobs of the next test
            process.terminate()
            await process.communicate()


def addresses_in(printed: str) -> list[str]:
    """Return the addresses that stay the same, so not the one-time link."""
    addresses: list[str] = re.findall(r"^  .* (http://\S+)$", printed, re.MULTILINE)
    return [address for address in addresses if "/sign-in/link/" not in address]


async def interrupt(process: Process) -> int:
    """Send what Ctrl-C sends and return the exit status."""
    process.send_signal(signal.SIGINT)
    ended = asyncio.create_task(process.communicate())

    async def has_ended() -> bool:
        return ended.done()

    await until(has_ended, timeout=30, what="the run has ended")
    return process.returncode or 0


async def test_a_run_ends_with_ctrl_c_in_order_and_the_next_has_its_addresses_and_logs(
    own_servers: Servers, tmp_path: Path
) -> None:
    async with running(own_servers, tmp_path) as (process, printed):
        addresses = addresses_in(printed)
        assert "/sign-in/link/mailing_" in printed
        assert len(addresses) == 7, printed  # console, API, sandbox, and the metrics of four services
        async with httpx.AsyncClient(trust_env=False) as http:
            for address in addresses:
                assert (await http.get(address, follow_redirects=True)).status_code == 200
        assert await interrupt(process) == 0

    async with running(own_servers, tmp_path) as (process, printed):
        assert addresses_in(printed) == addresses
        assert await interrupt(process) == 0

    logs = sorted(file.stem for file in (tmp_path / "logs").glob("*.log"))
    assert logs == ["api", "console", "migrate", "notifier", "planner", "sandbox", "sender-1"]
    lines = (tmp_path / "logs" / "planner.log").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines].count("planner_started") == 2
