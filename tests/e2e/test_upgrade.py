"""A release replaces the one before it while a mailing runs, and is replaced by it again."""

import io
import os
import subprocess
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.broker.connection import close, connect
from shared.ledger.migrations import migrate
from shared.topology import QUEUES, dead_queue
from tests.e2e.system import REPOSITORY, System, until
from tests.sandbox import Sandbox
from tests.servers import Servers, empty_queues, own_database

# The release before: its commit, and the revision of its schema. To be moved on with every release.
COMMIT = "7cb7f9908db64c887acebf360a44173621a1ff32"
SCHEMA = "0003"

MESSAGES = 800
SERVICES = ("planner", "sender", "api")
# 16 connections at 400 ms: 40 messages a second, until the provider is quick again at the end.
SLOW = {"MAILING_SENDER_CONCURRENCY": "16"}
LATENCY_MS = 400


@pytest.fixture
def release_before(tmp_path: Path) -> Path:
    """The folder of the release before, out of the repository's history."""
    archive = subprocess.run(["git", "archive", COMMIT], cwd=REPOSITORY, capture_output=True, check=False)
    if archive.returncode and not os.environ.get("CI"):
        pytest.skip("the release before is not in this folder's history: git fetch --unshallow")
    assert archive.returncode == 0, archive.stderr.decode()
    folder = tmp_path / "before"
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(folder, filter="data")
    return folder


@pytest.fixture
async def servers_before(servers: Servers, sandbox: Sandbox) -> AsyncIterator[Servers]:
    """A database with the schema of the release before, and a provider that is slow."""
    await empty_queues(servers.broker_url)
    await sandbox.reset()
    await sandbox.control.behave("slow", latency_ms=LATENCY_MS)
    with own_database(servers, "upgrade") as url:
        migrate(driven(url), SCHEMA)
        yield Servers(url, servers.broker_url)
    await sandbox.reset()


def driven(url: str) -> SecretStr:
    return SecretStr(url.replace("postgresql://", "postgresql+psycopg://", 1))


async def test_every_service_is_upgraded_and_rolled_back_in_mid_mailing(
    servers_before: Servers, sandbox: Sandbox, release_before: Path, tmp_path: Path
) -> None:
    system = System(servers_before, sandbox, tmp_path, SLOW)
    try:
        for service in SERVICES:
            await system.start(service, folder=release_before)
        await until(system.is_ready, timeout=30, what="the API of the release before is ready")
        audience = await system.add_audience(MESSAGES)
        mailing = await system.add_mailing(audience.tag)
        await until_more_are_sent(system, mailing)
        migrate(driven(servers_before.database_url))
        for folder in (REPOSITORY, release_before):
            await replace(system, folder)
            await until_more_are_sent(system, mailing)
        await sandbox.control.behave()
        assert await system.until_settled(mailing, MESSAGES) == {"sent": MESSAGES, "total": MESSAGES}
        totals = await sandbox.control.totals()
        assert (totals.received, totals.duplicated) == (MESSAGES, 0)
        assert await dead_letters(servers_before.broker_url) == {}
    finally:
        await system.close()


async def until_more_are_sent(system: System, mailing: int) -> None:
    """Wait until the services that run now have sent some messages; there are always more to send."""
    sent = (await system.status(mailing)).get("sent", 0)

    async def more_are_sent() -> bool:
        return (await system.status(mailing)).get("sent", 0) >= sent + 20

    await until(more_are_sent, timeout=30, what="more messages are sent")
    status = await system.status(mailing)
    assert status.get("new", 0) + status.get("active", 0) > 0, "the mailing still runs"


async def replace(system: System, folder: Path) -> None:
    """Replace one service after the other. The new one comes before the old one ends, except on the API's port."""
    for service in SERVICES:
        if service == "api":
            assert await system.terminate(service) == 0
            await system.start(service, folder=folder)
            await until(system.is_ready, timeout=30, what="the API is ready")
        else:
            new = await system.start(service, f"{service} of {folder.name}", folder=folder)
            assert await system.terminate(service) == 0
            system.processes[service] = system.processes.pop(new)


async def dead_letters(broker_url: str) -> dict[str, int]:
    """Return the number of messages in each dead-letter queue that has any."""
    connection = await connect(SecretStr(broker_url), "tests")
    try:
        channel = await connection.channel()
        counts = {}
        for queue in QUEUES:
            if queue.dead_letters:
                name = dead_queue(queue.name)
                dead = await channel.declare_queue(name, passive=True)
                counts[name] = dead.declaration_result.message_count or 0
        return {name: count for name, count in counts.items() if count}
    finally:
        await close(connection)
