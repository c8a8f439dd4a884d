"""A service with a wrong password or an unknown setting logs it, and ends in order."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

from tests.urls import with_password

REPOSITORY = Path(__file__).parents[2]


async def test_a_planner_logs_the_reason_in_one_line_and_ends_by_sigterm(
    database_url: str, broker_url: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.planner"),
        cwd=REPOSITORY,
        env=os.environ
        | {"MAILING_DATABASE_URL": with_password(database_url, "a-wrong-password")}
        | {"MAILING_BROKER_URL": broker_url, "MAILING_LOG_FORMAT": "json", "MAILING_LEAS": "60"},
        stderr=PIPE,
    )
    assert process.stderr is not None
    problems = []
    async with asyncio.timeout(60):
        async for line in process.stderr:
            fields = json.loads(line)
            if fields["event"] == "setting_ignored":
                problems.append(fields["problem"])
            if fields["event"] == "database_unavailable":
                break
    assert problems == ["setting MAILING_LEAS: no service knows it; do you mean MAILING_LEASE?"]
    assert "password authentication failed" in fields["error"]
    assert "a-wrong-password" not in fields["error"]
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
