"""A planner is frozen while it holds what another one needs: the other takes over."""

import asyncio
import json
import signal
import time
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.release_queries import find_release_lock_holder
from shared.database.transactions import transaction
from tests.e2e.system import System, running_system, until
from tests.patience import Patience
from tests.sandbox import Sandbox
from tests.servers import Servers

MESSAGES = 30_000


async def test_another_planner_takes_over_release_and_reports_from_a_frozen_one(
    own_servers: Servers, sandbox: Sandbox, engine: AsyncEngine, tmp_path: Path
) -> None:
    async with running_system(own_servers, sandbox, tmp_path, planners=0) as system:
        # The first planner has the queue of reports.
        await system.start("planner", "first", {"MAILING_HOST_NAME": "first"})
        await until_logged(tmp_path / "first.log", "planner@first reports")
        await system.start("planner", "second", {"MAILING_HOST_NAME": "second"})
        await until_logged(tmp_path / "second.log", "planner@second reports")
        audience = await system.add_audience(MESSAGES)
        await sandbox.control.behave("slow", latency_ms=50)
        mailing = await system.add_mailing(audience.tag)
        await freeze_with_lock(system, engine)

        sent = (await system.status(mailing)).get("sent", 0)
        patience, frozen_at = Patience(10), time.monotonic()
        while (await system.status(mailing)).get("sent", 0) == sent:
            assert not patience.is_over(), f"nothing was recorded for {time.monotonic() - frozen_at:.1f} s"
            await asyncio.sleep(0.05)
        (taken_over,) = [line for line in log_of(tmp_path / "second.log") if line["event"] == "release_taken_over"]
        assert taken_over["planner"] == "planner@first"
        assert float(str(taken_over["after_seconds"])) < 5

        system.processes["first"].send_signal(signal.SIGCONT)
        await sandbox.control.behave()
        assert await system.until_settled(mailing, MESSAGES) == {"sent": MESSAGES, "total": MESSAGES}
        assert (await sandbox.control.totals()).duplicated == 0
        assert not [line for line in log_of(tmp_path / "first.log") if line["level"] == "error"]


async def freeze_with_lock(system: System, engine: AsyncEngine) -> None:
    """Freeze the first planner while it has the lock of the release."""
    process = system.processes["first"]
    patience = Patience(60)
    while True:
        process.send_signal(signal.SIGSTOP)
        # Long enough for a statement that is under way to end, also on a busy machine; no other one begins.
        await asyncio.sleep(0.3)
        async with transaction(engine) as connection:
            holder = await find_release_lock_holder(connection)
        # A commit that is under way would end by itself, and the lock with it.
        if holder is not None and (holder.name, holder.state) == ("planner@first", "idle in transaction"):
            return
        process.send_signal(signal.SIGCONT)
        assert not patience.is_over(), "the first planner never had the lock"
        await asyncio.sleep(0.02)


async def until_logged(path: Path, connection: str) -> None:
    """Wait until the planner has this connection to RabbitMQ."""

    async def is_logged() -> bool:
        return any(line.get("connection") == connection for line in log_of(path))

    await until(is_logged, timeout=20, what=f"{connection} is connected")


def log_of(path: Path) -> list[dict[str, object]]:
    """Lines of a log."""
    return [json.loads(line) for line in path.read_text().splitlines()]
