"""Sandbox provider as a fixture: one process for the session, on free ports.

A test that changes its behaviour, or counts what it received, begins with `await sandbox.reset()`.
"""

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.sandbox.client import SandboxControl

TOKEN = "a-token-for-tests"
REPOSITORY = Path(__file__).parents[1]
READY = re.compile(r"provider (\S+) control (\S+)/docs")


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Running sandbox provider."""

    url: str  # of the provider's API
    token: str
    control_url: str
    control: SandboxControl
    process: Process

    async def reset(self) -> None:
        """Return to normal, and delete all records."""
        await self.control.behave()
        await self.control.forget()


@asynccontextmanager
async def running_sandbox(*arguments: str) -> AsyncIterator[Sandbox]:
    """Run a sandbox provider; stop it by SIGTERM at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.sandbox", "--port", "0", "--control-port", "0", *arguments),
        cwd=REPOSITORY,
        env={**os.environ, "MAILING_SANDBOX_TOKEN": TOKEN},
        stdout=PIPE,
    )
    try:
        assert process.stdout is not None
        line = (await process.stdout.readline()).decode()  # comes when both ports answer; empty if it has ended
        ready = READY.fullmatch(line.strip())
        assert ready, f"the sandbox did not start: {line!r}"
        url, control_url = ready.groups()
        async with SandboxControl(control_url) as control:
            yield Sandbox(url, TOKEN, control_url, control, process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


@pytest.fixture(scope="session")
async def sandbox() -> AsyncIterator[Sandbox]:
    """Sandbox provider of the session."""
    async with running_sandbox() as running:
        yield running
