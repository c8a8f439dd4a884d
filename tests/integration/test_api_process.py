"""The process `python -m services.api`: over real HTTP, with signals."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import httpx
import orjson
import psycopg
import pytest

from tests.integration.api_client import NOWHERE, eventually, waits_for_a_lock
from tests.tokens import bearer, create_api_token

HELLO = {
    "starts_at": "2090-01-31T10:00:00Z",
    "expired_at": "2090-01-31T18:00:00Z",
    "text": "hello",
    "filter": "#x",
}


@asynccontextmanager
async def process(**settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAILING_")}
    environment |= {f"MAILING_{name.upper()}": value for name, value in settings.items()}
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.api", env=environment, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
            await started.wait()


@asynccontextmanager
async def serving(
    database_url: str, **settings: str
) -> AsyncIterator[tuple[asyncio.subprocess.Process, httpx.AsyncClient]]:
    """Start a process, and yield it with a client when it listens."""
    settings |= {"database_url": database_url, "broker_url": f"amqp://{NOWHERE}/", "api_port": "0"}
    async with process(**settings) as started:
        async with asyncio.timeout(30):
            port = (await _logged(started, "api_started"))["port"]
        # The rest of the log is read, too. Otherwise the pipe fills.
        assert started.stderr is not None
        reading = asyncio.create_task(started.stderr.read())
        is_open = settings.get("access") == "open"
        headers = {} if is_open else bearer(await create_api_token(database_url))
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers) as client:
            yield started, client
        reading.cancel()


async def test_a_request_under_way_is_finished_after_sigterm(database_url: str, clean_database: None) -> None:
    async with (
        serving(database_url) as (started, api),
        await psycopg.AsyncConnection.connect(database_url) as other,
        await psycopg.AsyncConnection.connect(database_url, autocommit=True) as watch,
    ):
        await api.post("/api/mailing", json=HELLO)
        await other.execute("SELECT FROM mailings FOR UPDATE")
        change = asyncio.create_task(api.patch("/api/mailing/1", json={"text": "bye"}))
        await eventually(lambda: waits_for_a_lock(watch))
        started.send_signal(signal.SIGTERM)
        await eventually(lambda: _refuses(str(api.base_url)))
        assert not change.done()
        await other.rollback()
        assert (await change).json()["text"] == "bye"
        assert await asyncio.wait_for(started.wait(), 10) == 0


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_far_too_long_is_answered_before_the_connection_closes(
    database_url: str, clean_database: None, announced: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4096):
            yield b" " * 1024

    headers = {"Content-Type": "application/json"} | ({"Content-Length": "4194304"} if announced else {})
    async with serving(database_url) as (_, api):
        answer = await api.post("/api/client/", content=chunks(), headers=headers)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await api.get("/healthz")).status_code == 200


async def test_bytes_that_are_no_http_end_only_their_connection(database_url: str, clean_database: None) -> None:
    async with serving(database_url) as (_, api):
        for sent in (
            b"\x16\x03\x01 hello\r\n\r\n",
            b"GET /api/client/%00/?tag=%00 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"GET /api/client/?tag=\xff\xfe HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            b"POST /api/client/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
            b"PUT /api/client/1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{",
        ):
            reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
            writer.write(sent)
            writer.write_eof()
            answer = await asyncio.wait_for(reader.read(), 10)
            assert b" 500 " not in answer[:20]
            writer.close()
        assert (await api.get("/api/client")).status_code == 200


async def test_bytes_that_are_no_http_are_answered_with_a_problem_document() -> None:
    async with serving(f"postgresql://nobody@{NOWHERE}/nothing", access="open") as (_, api):
        reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
        writer.write(b"hello\r\n\r\n")
        head, _, body = (await asyncio.wait_for(reader.read(), 10)).partition(b"\r\n\r\n")
        writer.close()
    assert head.startswith(b"HTTP/1.1 400 ")
    assert b"content-type: application/problem+json" in head
    assert b"x-content-type-options: nosniff" in head
    problem = orjson.loads(body)
    assert problem["status"] == 400
    assert f"x-request-id: {problem['request_id']}\r\n".encode() in head + b"\r\n"


POST = b"POST /api/client/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("begin", "drip", "statuses"),
    [
        pytest.param(b"", b"", [], id="nothing at all"),
        pytest.param(b"", b"\r\n", [], id="blank lines"),
        pytest.param(GET, b"", [408], id="half a head"),
        pytest.param(GET + b"X-Drip: ", b"x", [408], id="a dripping head"),
        pytest.param(GET + b"\r\n" + GET, b"X: x\r\n", [200, 408], id="a dripping second head"),
        pytest.param(POST + b"Content-Length: 50\r\n\r\n{", b"", [408], id="half a body"),
        pytest.param(POST + b"Content-Length: 5000\r\n\r\n{", b" ", [408], id="a dripping body"),
        pytest.param(
            POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n", [408], id="a body without an end"
        ),
        pytest.param(
            GET + b"Content-Length: 5000\r\n\r\n", b" ", [200], id="a dripping body that nobody waits for"
        ),
    ],
)
async def test_the_connection_of_a_slow_caller_is_closed(
    database_url: str, clean_database: None, begin: bytes, drip: bytes, statuses: list[int]
) -> None:
    async with serving(database_url, api_read_timeout="0.3", access="open") as (_, api):
        answer = await asyncio.wait_for(_drip(api.base_url, begin, drip), 10)
        assert [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", answer)] == statuses
        if 408 in statuses:
            head, _, body = answer[answer.index(b"HTTP/1.1 408 ") :].partition(b"\r\n\r\n")
            assert b"connection: close" in head.lower()
            assert b"content-type: application/problem+json" in head
            problem = orjson.loads(body)
            assert problem["status"] == 408
            assert f"x-request-id: {problem['request_id']}\r\n".encode() in head + b"\r\n"


@pytest.mark.parametrize(
    ("begin", "drip"),
    [
        pytest.param(GET + b"X-Long: ", b"x" * 30_000, id="one header without an end"),
        pytest.param(GET, b"X-Long: x\r\n" * 3_000, id="headers without an end"),
        pytest.param(GET + b"X-Long: " + b"x" * 70_000 + b"\r\n\r\n", b"", id="a whole head"),
        pytest.param(b"GET /" + b"x" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", b"", id="a line"),
    ],
)
async def test_a_head_that_is_too_large_is_answered_soon(begin: bytes, drip: bytes) -> None:
    async with serving(f"postgresql://nobody@{NOWHERE}/nothing", access="open") as (_, api):
        answer = await asyncio.wait_for(_drip(api.base_url, begin, drip), 10)
        assert (await api.get("/healthz")).status_code == 200
    assert answer.startswith(b"HTTP/1.1 431 ")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert orjson.loads(body)["status"] == 431


async def test_a_reader_who_takes_nothing_is_cut_off_and_a_slow_one_is_not(
    database_url: str, clean_database: None
) -> None:
    clients = b"".join(b"%d,#%s,Europe/Moscow\n" % (79000000000 + n, b"x" * 90) for n in range(100_000))
    async with serving(database_url, api_write_timeout="0.5", api_transfers="1", access="open") as (_, api):
        content = b"number,tag,zone\n" + clients
        (
            await api.post("/api/client/import/", content=content, headers={"Content-Type": "text/csv"})
        ).raise_for_status()
        reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port, limit=4096)
        writer.write(b"GET /api/client/export/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        # It reads no more, and has the only connection for transfers until it is cut off.
        async with api.stream("GET", "/api/client/export/") as slow:
            assert slow.status_code == 200
            received = 0
            async for piece in slow.aiter_raw(1_000_000):
                received += len(piece)
                await asyncio.sleep(0.2)
        assert received > len(clients)
        with suppress(ConnectionError):
            assert not (await reader.read(-1)).endswith(b"\r\n0\r\n\r\n")
        writer.close()


async def test_a_request_that_takes_long_to_answer_is_not_a_slow_caller(
    database_url: str, clean_database: None
) -> None:
    async with (
        serving(database_url, api_read_timeout="1", access="open") as (_, api),
        await psycopg.AsyncConnection.connect(database_url) as other,
    ):
        (await api.post("/api/mailing", json=HELLO)).raise_for_status()
        await other.execute("SELECT FROM mailings FOR UPDATE")
        change = asyncio.create_task(api.patch("/api/mailing/1", json={"text": "bye"}))
        for _ in range(2):
            await asyncio.wait_for(_drip(api.base_url, GET, b""), 10)
        assert not change.done()
        await other.rollback()
        assert (await change).json()["text"] == "bye"


async def test_a_connection_may_be_used_for_longer_than_a_request_may_take_to_arrive(
    database_url: str, clean_database: None
) -> None:
    async with serving(database_url, api_read_timeout="1", access="open") as (_, api):
        reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
        dripping = asyncio.create_task(asyncio.wait_for(_drip(api.base_url, GET, b""), 10))
        while not dripping.done():
            for part in (GET, b"\r\n"):
                writer.write(part)
                await writer.drain()
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
            await reader.readuntil(b"}")
        writer.close()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({}, "setting MAILING_DATABASE_URL"),
        ({"database_url": "mysql://x/y"}, "setting MAILING_DATABASE_URL"),
        ({"database_url": "postgresql://x/y"}, "setting MAILING_BROKER_URL"),
    ],
)
async def test_settings_that_are_missing_are_named(settings: dict[str, str], complaint: str) -> None:
    async with process(**settings) as started:
        _, stderr = await asyncio.wait_for(started.communicate(), 30)
    assert started.returncode == 2
    assert complaint in stderr.decode()


async def test_a_taken_port_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        address = {"database_url": f"postgresql://x@{NOWHERE}/x", "broker_url": f"amqp://{NOWHERE}/"}
        async with process(**address, api_port=str(port), api_grace="soon") as started:
            _, complaint = await asyncio.wait_for(started.communicate(), 30)
        assert complaint.decode().splitlines() == [
            "setting MAILING_API_GRACE: must be a number of seconds, such as 5 or 0.25, and not 'soon'"
        ]
        async with process(**address, api_port=str(port)) as started:
            _, stderr = await asyncio.wait_for(started.communicate(), 30)
    assert started.returncode == 2
    [line] = [line for line in stderr.decode().splitlines() if not line.startswith("{")]
    assert line.startswith(f"cannot listen on 127.0.0.1, port {port}: Address already in use.")
    assert "Traceback" not in stderr.decode()


async def _logged(started: asyncio.subprocess.Process, event: str) -> dict[str, object]:
    assert started.stderr is not None
    async for line in started.stderr:
        entry: dict[str, object] = orjson.loads(line)
        if entry["event"] == event:
            return entry
    raise AssertionError(f"the process ended without {event}")


async def _drip(url: httpx.URL, begin: bytes, drip: bytes) -> bytes:
    """Send `begin`, then `drip` again and again until the other side closes; return its answer."""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    writer.write(begin)
    answer = bytearray()

    async def listen() -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                answer.extend(data)

    listening = asyncio.create_task(listen())
    while not listening.done():
        await asyncio.wait([listening], timeout=0.05)
        if not writer.is_closing():
            writer.write(drip)
    writer.close()
    return bytes(answer)


async def _refuses(base_url: str) -> bool | None:
    async with httpx.AsyncClient(base_url=base_url) as other:
        try:
            await other.get("/healthz")
        except httpx.ConnectError:
            return True
        except httpx.TransportError:  # accepted and closed in the instant in which it stopped to listen
            pass
    return None
