"""The stand-in provider speaks the provider's API, misbehaves as told, and remembers what it received."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.sandbox.behaviour import TAKING, Behaviour, Mode, react
from tests.sandbox import TOKEN, Sandbox, running_sandbox

pytest_plugins = ["tests.sandbox"]

PHONE = 79057003050
EARLY = 0.02  # seconds: uvloop counts a timer from the beginning of the loop's turn
ANSWERED = [mode for mode in Mode if mode not in {Mode.HALF, Mode.HANG, Mode.RESET, Mode.DOWN}]


@dataclass(frozen=True, slots=True)
class Line:
    """A bare connection to the provider's port."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def write(self, *requests: bytes) -> None:
        self.writer.write(b"".join(requests))

    async def answer(self) -> tuple[int, bytes]:
        """Status and body of the next answer."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        length = int(head.lower().partition("content-length:")[2].split()[0])
        return int(head.split()[1]), await self.reader.readexactly(length)


@asynccontextmanager
async def line_to(sandbox: Sandbox) -> AsyncIterator[Line]:
    address = urlsplit(sandbox.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield Line(reader, writer)
    finally:
        writer.close()


def request(
    message_id: int = 1, body: object = None, *, path: str = "", head: str = "", token: str = TOKEN
) -> bytes:
    """A POST of a message; `body` instead of the right one, `head` for further headers."""
    if body is None:
        body = {"id": message_id, "phone": PHONE, "text": "Привет"}
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [
        f"POST {path or f'/v1/send/{message_id}'} HTTP/1.1",
        "Host: x",
        f"AUTHORIZATION: Bearer {token}",
        f"Content-Length: {len(content)}",
        *filter(None, [head]),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + content


@pytest.fixture
async def fresh(sandbox: Sandbox) -> Sandbox:
    await sandbox.reset()
    return sandbox


async def ask(sandbox: Sandbox, sent: bytes) -> tuple[int, bytes]:
    async with line_to(sandbox) as line:
        line.write(sent)
        return await line.answer()


# The provider's API


async def test_a_good_request_is_answered_as_documented(fresh: Sandbox) -> None:
    assert await ask(fresh, request()) == (200, b'{"code": 0, "message": "OK"}')


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (request(token="another"), 401),
        (request(token=""), 401),
        (request(body=b"{"), 400),
        (request(body=[]), 400),
        (request(body={"phone": PHONE, "text": ""}), 400),
        (request(body={"id": 2, "phone": PHONE, "text": ""}), 400),
        (request(body={"id": "1", "phone": PHONE, "text": ""}), 400),
        (request(body={"id": True, "phone": PHONE, "text": ""}), 400),
        (request(body={"id": 1, "phone": str(PHONE), "text": ""}), 400),
        (request(body={"id": 1, "phone": 2**63, "text": ""}), 400),
        (request(body={"id": 1, "phone": PHONE, "text": None}), 400),
        (request(body={"id": 1, "phone": PHONE}), 400),
        (request(2**63), 400),
        (request(path="/v1/send/01"), 400),
        (request(path="/v1/send/"), 400),
        (request(path="/v2/send/1"), 404),
        (request().replace(b"POST", b"PUT"), 404),
        (b"\x16\x03\x01\x02\x00", 400),
    ],
)
async def test_a_bad_request_is_refused_and_leaves_no_record(fresh: Sandbox, sent: bytes, status: int) -> None:
    assert (await ask(fresh, sent))[0] == status
    assert (await fresh.control.totals()).received == 0


async def test_bad_requests_are_counted(fresh: Sandbox) -> None:
    await ask(fresh, request(token="another"))
    await ask(fresh, request(body=b""))
    assert (await fresh.control.totals()).invalid == 2


async def test_a_body_beyond_all_measure_ends_the_connection(fresh: Sandbox) -> None:
    async with line_to(fresh) as line:
        line.write(request(body=b"x" * 1_000_000))
        with suppress(ConnectionResetError):  # what was not read any more makes the close a reset
            assert b" 413 " in await line.reader.read()
    assert (await fresh.control.totals()).received == 0


async def test_a_request_may_come_byte_by_byte(fresh: Sandbox) -> None:
    async with line_to(fresh) as line:
        for number in request():
            line.write(bytes([number]))
            await line.writer.drain()
        assert (await line.answer())[0] == 200


async def test_a_client_that_asks_to_close_gets_its_answer_and_a_close(fresh: Sandbox) -> None:
    async with line_to(fresh) as line:
        line.write(request(head="Connection: close"))
        assert (await line.answer())[0] == 200
        assert await line.reader.read() == b""


async def test_pipelined_requests_are_answered_in_order_however_late_some_are(fresh: Sandbox) -> None:
    behaviour = Behaviour(mode=Mode.THROTTLE, share=0.5, seed=3, latency_ms=1, latency_jitter_ms=50)
    await fresh.control.behave("throttle", share=0.5, seed=3, latency_ms=1, latency_jitter_ms=50)
    ids = range(1, 41)
    async with line_to(fresh) as line:
        line.write(*map(request, ids))
        statuses = [(await line.answer())[0] for _ in ids]
    assert statuses == [int(react(behaviour, message_id, 1).reply.split()[1]) for message_id in ids]
    assert set(statuses) == {200, 429}


# What it remembers


async def test_it_tells_what_it_received(fresh: Sandbox) -> None:
    began = time.time()
    async with line_to(fresh) as line:
        for message_id in (3, 1, 2, 3):
            line.write(request(message_id))
            await line.answer()
    totals = await fresh.control.totals()
    assert (totals.received, totals.unique, totals.duplicated) == (4, 3, 1)
    assert (totals.accepted, totals.accepted_again) == (3, 1)
    assert totals.first_at is not None
    assert totals.last_at is not None
    assert began <= totals.first_at <= totals.last_at <= time.time()
    assert [(item.id, item.phone, item.count) for item in await fresh.control.messages()] == [
        (1, PHONE, 1),
        (2, PHONE, 1),
        (3, PHONE, 2),
    ]
    assert [item.id for item in await fresh.control.duplicates()] == [3]
    seconds = await fresh.control.seconds()
    assert sum(second.requests for second in seconds.seconds) == 4
    assert 1 <= seconds.worst_window <= 4


async def test_messages_are_read_page_by_page(fresh: Sandbox) -> None:
    async with line_to(fresh) as line:
        for message_id in range(1, 6):
            line.write(request(message_id))
            await line.answer()
    async with httpx.AsyncClient(base_url=fresh.control_url) as http:
        pages = [(await http.get(f"/sandbox/messages?limit=2&after={after}")).json() for after in (0, 2, 4)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [[1, 2], [3, 4], [5]]
    assert [page["next"] for page in pages] == [2, 4, None]


async def test_an_unknown_message_is_not_found(fresh: Sandbox) -> None:
    assert await fresh.control.message(1) is None


async def test_it_forgets_on_request(fresh: Sandbox) -> None:
    await ask(fresh, request())
    await fresh.control.forget()
    assert (await fresh.control.totals()).received == 0
    assert await fresh.control.messages() == []


# How it behaves


@pytest.mark.parametrize("mode", ANSWERED)
async def test_a_request_is_recorded_in_every_mode_and_taken_in_some(fresh: Sandbox, mode: Mode) -> None:
    await fresh.control.behave(mode)
    await ask(fresh, request())
    received = await fresh.control.message(1)
    assert received is not None
    assert (received.count, received.accepted) == (1, mode in TAKING)


async def test_half_an_answer_is_followed_by_a_close(fresh: Sandbox) -> None:
    await fresh.control.behave("half")
    async with line_to(fresh) as line:
        line.write(request())
        got = await line.reader.read()
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not got.endswith(b"}")


async def test_reset_takes_the_message_and_cuts_the_line(fresh: Sandbox) -> None:
    await fresh.control.behave("reset")
    async with line_to(fresh) as line:
        line.write(request())
        with pytest.raises(ConnectionResetError):
            await line.reader.read()
    assert (await fresh.control.totals()).accepted == 1


async def test_latency_delays_the_answer_and_not_the_record(fresh: Sandbox) -> None:
    await fresh.control.behave("slow", latency_ms=300)
    async with line_to(fresh) as line:
        began = time.monotonic()
        line.write(request())
        while await fresh.control.message(1) is None:
            pass
        assert (await line.answer())[0] == 200
        assert time.monotonic() - began >= 0.3 - EARLY


async def test_what_hangs_is_answered_when_the_behaviour_ends(fresh: Sandbox) -> None:
    await fresh.control.behave("hang")
    async with line_to(fresh) as line:
        line.write(request(1), request(2))
        while (await fresh.control.totals()).accepted < 2:
            pass
        await fresh.control.behave()
        assert [(await line.answer())[0] for _ in range(2)] == [200, 200]


async def test_down_resets_and_refuses_and_ends_by_itself_on_the_same_port(fresh: Sandbox) -> None:
    async with line_to(fresh) as line:
        line.write(request())
        await line.answer()
        await fresh.control.behave("down", for_seconds=0.5)
        with pytest.raises(ConnectionResetError):
            await line.reader.read()
    with pytest.raises(ConnectionRefusedError):
        await ask(fresh, request())
    assert await _answers_again(fresh) == (200, b'{"code": 0, "message": "OK"}')
    assert (await fresh.control.totals()).received == 2


async def _answers_again(sandbox: Sandbox) -> tuple[int, bytes]:
    async with asyncio.timeout(10):
        while True:
            try:
                return await ask(sandbox, request(2))
            except ConnectionRefusedError:
                await asyncio.sleep(0.01)


async def test_down_twice_and_up_twice_is_the_same_as_once(fresh: Sandbox) -> None:
    await asyncio.gather(*(fresh.control.behave(mode) for mode in ("down", "ok", "down", "down", "ok", "ok")))
    await fresh.control.behave()
    assert (await ask(fresh, request()))[0] == 200


async def test_a_behaviour_for_some_time_goes_back_to_normal(fresh: Sandbox) -> None:
    in_force = await fresh.control.behave("error", for_seconds=0.5)
    assert in_force.ends_at is not None
    assert (await ask(fresh, request()))[0] == 500
    async with asyncio.timeout(10):
        while (await ask(fresh, request()))[0] != 200:
            pass
    assert time.time() >= in_force.ends_at - EARLY


async def test_a_newer_behaviour_outlives_the_end_of_an_older_one(fresh: Sandbox) -> None:
    older = await fresh.control.behave("error", for_seconds=0.1)
    await fresh.control.behave("reject")
    assert older.ends_at is not None
    async with asyncio.timeout(10):
        while time.time() < older.ends_at + 0.1:
            assert (await ask(fresh, request()))[0] == 400


async def test_behaviour_is_asked_for_set_and_lifted_over_http(fresh: Sandbox) -> None:
    async with httpx.AsyncClient(base_url=fresh.control_url) as http:
        put = await http.put("/sandbox/behaviour", json={"mode": "throttle", "retry_after": 2, "share": 0.5})
        assert put.json() == (await http.get("/sandbox/behaviour")).json()
        assert put.json()["behaviour"]["retry_after"] == 2
        lifted = await http.delete("/sandbox/behaviour")
        assert lifted.json()["behaviour"] == Behaviour().model_dump(mode="json")


@pytest.mark.parametrize(
    "behaviour",
    [{"mode": "odd"}, {"mode": "ok", "latency": 5}, {"share": 2}, {"latency_ms": -1}, {"for_seconds": 0}],
)
async def test_a_behaviour_that_makes_no_sense_is_refused(fresh: Sandbox, behaviour: dict[str, object]) -> None:
    async with httpx.AsyncClient(base_url=fresh.control_url) as http:
        assert (await http.put("/sandbox/behaviour", json=behaviour)).status_code == 422


# The process


async def test_it_documents_itself(fresh: Sandbox) -> None:
    async with httpx.AsyncClient(base_url=fresh.control_url) as http:
        page = (await http.get("/docs")).text
        links = re.findall(r'(?:src|href|url)["=:\s]+[\'"]([^\'"]+)', page)
        assert len(links) >= 4
        for link in links:  # none leads to another host
            assert (await http.get(link)).status_code == 200, link
        paths = (await http.get("/openapi.json")).json()["paths"]
    assert {path: set(methods) for path, methods in paths.items()} == {
        "/sandbox/totals": {"get"},
        "/sandbox/messages": {"get"},
        "/sandbox/messages/{message_id}": {"get"},
        "/sandbox/duplicates": {"get"},
        "/sandbox/seconds": {"get"},
        "/sandbox/received": {"delete"},
        "/sandbox/behaviour": {"get", "put", "delete"},
    }


async def test_sigterm_stops_it_even_while_something_hangs() -> None:
    async with running_sandbox() as own, line_to(own) as line:
        await own.control.behave("hang")
        line.write(request())
        while (await own.control.totals()).received == 0:
            pass
        own.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await own.process.wait() == 0


async def test_without_a_token_it_does_not_start() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploy.sandbox", "--port", "0", "--control-port", "0"),
        env={"MAILING_SANDBOX_TOKEN": ""},
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await process.communicate()
    assert process.returncode == 2
    assert b"MAILING_SANDBOX_TOKEN" in said
