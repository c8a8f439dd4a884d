"""A sender that was frozen asks before it sends."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.e2e.system import running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers

MESSAGES = 2000


@pytest.mark.parametrize("frozen", [4.0])
async def test_a_sender_that_was_frozen_sends_nothing_of_a_mailing_that_was_paused_meanwhile(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path, frozen: float
) -> None:
    async with running_system(own_servers, sandbox, tmp_path, senders=1) as system:
        audience = await system.add_audience(MESSAGES)
        await sandbox.control.behave("slow", latency_ms=100)
        mailing = await system.add_mailing(audience.tag)

        async def some_arrived() -> bool:
            return (await sandbox.control.totals()).received > 100

        await until(some_arrived, timeout=15, what="the mailing is under way")
        process = system.processes["sender-0"]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(0.3)
        before = (await sandbox.control.totals()).received
        assert before < MESSAGES - 500
        answer = await system.api.post(f"/api/mailing/{mailing}/pause/")
        assert (answer.status_code, answer.json()["stop"]) == (202, "pending"), "a frozen sender confirms nothing"
        await asyncio.sleep(frozen)
        assert (await sandbox.control.totals()).received == before
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(2)
        # One at most: the request that was being written at that instant.
        assert (await sandbox.control.totals()).received <= before + 1
        log = [json.loads(line) for line in (tmp_path / "sender-0.log").read_text().splitlines()]
        assert any(line["event"] == "pause_detected" for line in log)

        assert (await system.api.post(f"/api/mailing/{mailing}/resume/")).status_code == 200
        await sandbox.control.behave()
        assert await system.until_settled(mailing, MESSAGES) == {"sent": MESSAGES, "total": MESSAGES}
        assert (await sandbox.control.totals()).duplicated == 0


async def test_a_sender_whose_log_nobody_reads_goes_on(
    own_servers: Servers, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Each message has lines in the log, which fill the pipe many times over."""
    async with unread_pipe() as log, running_system(own_servers, sandbox, tmp_path, senders=0) as system:
        await system.start("sender", "sender-unread", {"MAILING_LOG_LEVEL": "debug"}, log=log)
        audience = await system.add_audience(MESSAGES)
        began = time.perf_counter()
        mailing = await system.add_mailing(audience.tag)
        assert await system.until_settled(mailing, MESSAGES) == {"sent": MESSAGES, "total": MESSAGES}
        assert time.perf_counter() - began < 40


@asynccontextmanager
async def unread_pipe() -> AsyncIterator[int]:
    """A pipe from which nobody reads."""
    reader, writer = os.pipe()
    try:
        yield writer
    finally:
        os.close(writer)
        os.close(reader)
