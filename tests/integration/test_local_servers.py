"""The private servers of `deploy.local`: they keep what they were told, and do not outlive their starter."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import aio_pika
import psycopg
import pytest
from aiormq.abc import FieldTable

from deploy.local.errors import InUseError, StartError
from deploy.local.plain_path import plain_folder
from deploy.local.postgres import PrivatePostgres
from deploy.local.rabbitmq import PrivateRabbitMQ
from deploy.local.rabbitmq_programs import installed_programs
from deploy.local.state_folder import StateFolder

REPOSITORY = Path(__file__).parents[2]
QUORUM: FieldTable = {"x-queue-type": "quorum"}
# A process that starts another one, says its id, and waits.
STARTER = """
import subprocess, time
from deploy.local.leashed_process import LeashedProcess
print(LeashedProcess(["sleep", "600"], output=subprocess.DEVNULL).pid, flush=True)
time.sleep(600)
"""


def test_no_phone_number_reaches_the_log_of_postgres(server_folder: Path) -> None:
    with (
        PrivatePostgres(server_folder / "log") as server,
        psycopg.connect(server.url, autocommit=True) as connection,
    ):
        connection.execute("CREATE TABLE clients (number bigint PRIMARY KEY CHECK (number < 79999999999))")
        connection.execute("INSERT INTO clients VALUES (79057003050)")
        for number in (79057003050, 79999999999):
            with pytest.raises(psycopg.IntegrityError):
                connection.execute("INSERT INTO clients VALUES (%s)", (number,))
            with pytest.raises(psycopg.IntegrityError):
                connection.execute(f"INSERT INTO clients VALUES ({number})".encode())
    written = "".join(file.read_text() for file in (server_folder / "log").rglob("*.log"))
    assert "clients_pkey" in written
    assert "790" not in written
    assert "7999" not in written


@pytest.mark.parametrize("end", [PrivatePostgres.stop, PrivatePostgres.kill], ids=["stopped", "killed"])
def test_postgres_keeps_its_rows_and_its_port(server_folder: Path, end: Callable[[PrivatePostgres], None]) -> None:
    with PrivatePostgres(server_folder / end.__name__) as server:
        url = server.url
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        end(server)
        server.start()
        assert server.url == url
        with psycopg.connect(url) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


@pytest.mark.skipif(installed_programs() is None, reason="RabbitMQ is not installed here")
async def test_rabbitmq_keeps_its_messages_and_its_ports_in_a_folder_of_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "мой проект рассылки"
    server = PrivateRabbitMQ(folder)
    try:
        server.start()
        url, management_url = server.url, server.management_url
        await _publish(url, b"kept")
        server.stop()
        server.start()
        assert (server.url, server.management_url) == (url, management_url)
        assert await _receive(url) == b"kept"
    finally:
        server.kill()
        shutil.rmtree(folder.resolve())


def test_a_node_that_does_not_start_is_reported_by_its_first_error(tmp_path: Path) -> None:
    server = PrivateRabbitMQ(tmp_path)
    (tmp_path / "log").mkdir()
    lines = [f"2026-01-01 [info] line {n}" for n in range(30)]
    lines[7:8] = ["2026-01-01 [error] BOOT FAILED", "2026-01-01 [error] a reason"]
    (tmp_path / "log" / "node.log").write_text("\n".join(lines))
    with pytest.raises(StartError, match=r"did not start:\n2026-01-01 \[error\] BOOT FAILED\n.*a reason"):
        server.ensure_running()


def test_a_state_folder_is_private_and_is_cleared_with_what_its_links_lead_to(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / "состояние")
    state.acquire()
    assert state.path.stat().st_mode & 0o777 == 0o700
    elsewhere = plain_folder(state.path / "rabbitmq")
    assert str(elsewhere).isascii()
    (elsewhere / "data").touch()
    (state.path / "postgres").mkdir()
    state.clear()
    assert [entry.name for entry in state.path.iterdir()] == ["lock"]
    assert not elsewhere.exists()
    state.release()


def test_a_state_folder_has_one_user_at_a_time(tmp_path: Path) -> None:
    first, second = StateFolder(tmp_path), StateFolder(tmp_path)
    first.acquire()
    with pytest.raises(InUseError, match="in use by another run"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()


def test_a_process_ends_with_its_starter_even_if_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, cwd=REPOSITORY) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert _lives(pid)
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _lives(pid):
        assert time.monotonic() < deadline, f"process {pid} has outlived its starter"
        time.sleep(0.02)


async def _publish(url: str, body: bytes) -> None:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("kept", durable=True, arguments=QUORUM)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, routing_key=queue.name)


async def _receive(url: str) -> bytes:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.declare_queue("kept", durable=True, arguments=QUORUM)
        async with queue.iterator(no_ack=True, timeout=20) as messages:
            return (await anext(messages)).body


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
