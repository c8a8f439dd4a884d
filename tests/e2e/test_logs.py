"""The logs of a whole system hold each story from the request to the end, and nothing private."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from pydantic import SecretStr

from shared.broker.publisher import Publisher
from shared.topology import EVENTS, JOBS, REPORTS
from tests.e2e.conftest import QUICK
from tests.e2e.system import REPOSITORY, System, running_system, until
from tests.sandbox import Sandbox
from tests.servers import Servers

TEXT = "Ваш заказ готов"
REQUEST = "order-4711"

Told = list[dict[str, object]]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """Folder with the logs of the services."""
    return tmp_path


@pytest.fixture
async def system(own_servers: Servers, sandbox: Sandbox, logs: Path) -> AsyncIterator[System]:
    """A system that logs each step of every message."""
    environment = QUICK | {"MAILING_LOG_LEVEL": "debug", "MAILING_REQUEST_TIMEOUT": "1"}
    async with running_system(own_servers, sandbox, logs, senders=2, environment=environment) as running:
        yield running
    await sandbox.reset()


def everything(logs: Path) -> str:
    """Return all lines of all services, in no particular order."""
    return "".join(file.read_text() for file in sorted(logs.glob("*.log"), reverse=True))


async def story(logs: Path, *wanted: str) -> Told:
    """Return the output of `mailing logs`."""
    command = (sys.executable, "-m", "shared.cli", "logs", *wanted, "--json")
    process = await asyncio.create_subprocess_exec(*command, cwd=REPOSITORY, stdin=PIPE, stdout=PIPE)
    out, _ = await process.communicate(f"not JSON\n{everything(logs)}".encode())
    return [json.loads(line) for line in out.decode().splitlines()]


async def until_told(logs: Path, event: str, *wanted: str) -> Told:
    """Return the story as soon as it has that event."""

    async def is_told() -> bool:
        return any(line["event"] == event for line in await story(logs, *wanted))

    await until(is_told, timeout=15, what=f"{event} is told of {wanted}")
    return await story(logs, *wanted)


async def test_the_whole_story_of_one_message_can_be_found(system: System, logs: Path) -> None:
    audience = await system.add_audience(3)
    body = {"starts_at": "2026-01-01T00:00:00", "expired_at": "2100-01-01T00:00:00"}
    body |= {"text": TEXT, "filter": audience.tag}
    created = await system.api.post("/api/mailing/", json=body, headers={"X-Request-ID": REQUEST})
    mailing = int(created.json()["id"])
    await system.until_settled(mailing, 3)
    page = (await system.api.get(f"/api/mailing/{mailing}/messages/")).json()
    message, other = page["items"][1], page["items"][2]

    told = await until_told(logs, "mailing_finished", "--message", str(message["id"]))
    events = [str(line["event"]) for line in told]
    in_order = ["mailing_expanded", "job_released", "job_received", "message_posted", "message_answered"]
    assert [event for event in events if event in in_order] == in_order
    assert {"request_answered", "event_received", "results_reported", "messages_settled"} < set(events)
    assert events.index("message_answered") < events.index("messages_settled") < events.index("mailing_finished")
    [finished] = [line for line in told if line["event"] == "mailing_finished"]
    assert (finished["total"], finished["sent"], finished["failed"]) == (3, 3, 0)
    assert {line["request_id"] for line in told} == {REQUEST}
    assert {line["mailing_id"] for line in told} == {mailing}
    assert {line["service"] for line in told} == {"api", "planner", "sender"}
    of_message = [line for line in told if "message_id" in line or "message_ids" in line]
    assert all(line.get("message_ids", [message["id"]]) == [message["id"]] for line in of_message)
    assert all(line.get("client_ids", [message["client_id"]]) == [message["client_id"]] for line in of_message)
    assert all({"client_id", "client_ids"} & line.keys() for line in of_message)
    assert f'"message_id": {other["id"]}' not in json.dumps(told)

    of_client = await story(logs, "--client", str(message["client_id"]))
    assert [line for line in of_client if line in told] == told
    assert f'"message_id": {other["id"]}' in json.dumps(await story(logs, "--mailing", str(mailing)))
    assert await story(logs, "--request", REQUEST) == await story(logs, "--mailing", str(mailing))


async def test_a_single_message_has_a_story_too(system: System, logs: Path) -> None:
    client = await system.add_client(79_051_112_233, tag="#single")
    sent = await system.api.post("/api/message/", json={"client": client, "text": TEXT})
    message = str(sent.json()["id"])
    told = await until_told(logs, "messages_settled", "--message", message)
    events = {line["event"] for line in told}
    assert {"request_answered", "event_received", "job_released", "message_posted", "message_answered"} < events
    assert [line for line in await story(logs, "--client", str(client)) if line in told] == told


async def test_failures_are_logged_and_nothing_private_is(
    system: System, sandbox: Sandbox, own_servers: Servers, logs: Path
) -> None:
    audience = await system.add_audience(4)
    ends = {"reject": {"failed": 4}, "hang": {"sent": 4}, "garbage": {"sent": 4}, "reset": {"sent": 4}}
    for mode, end in ends.items():
        await sandbox.control.behave(mode, for_seconds=2)
        mailing = await system.add_mailing(audience.tag, text=TEXT)
        assert await system.until_settled(mailing, 4) == {**end, "total": 4}
        failures = [line for line in await story(logs, "--mailing", str(mailing)) if line["level"] != "debug"]
        page = (await system.api.get(f"/api/mailing/{mailing}/messages/")).json()
        for message in page["items"]:
            (first, *_) = [line for line in failures if line.get("message_id") == message["id"]]
            # The provider may behave again before a POST is repeated in place.
            assert first["event"] in {"message_not_accepted", "message_accepted_after_retries"}
            assert first["client_id"] == message["client_id"]
    number = audience.numbers[0]
    await system.api.get("/api/message/", params={"number": number})
    await system.api.post("/api/client/", json={"number": number, "tag": TEXT, "zone": TEXT})
    await system.api.post("/api/message/", json={"number": number, "text": TEXT, "surplus": TEXT})
    await poison(own_servers.broker_url, number, sandbox.token)

    async def all_are_dead_letters() -> bool:
        return everything(logs).count("message_dead_lettered") == 6

    await until(all_are_dead_letters, timeout=15, what="all that is poisonous is set aside")
    told = everything(logs)
    passwords = [urlsplit(url).password or TEXT for url in (own_servers.database_url, own_servers.broker_url)]
    private = [TEXT, json.dumps(TEXT)[1:-1], sandbox.token, *passwords, *map(str, audience.numbers)]
    assert [word for word in private if word in told] == []
    assert all(line.startswith("{") for line in told.splitlines())


async def poison(broker_url: str, number: int, token: str) -> None:
    """Publish messages that no service can parse, full of private data."""
    publisher = Publisher(SecretStr(broker_url), "tests publisher")
    garbage = f"garbage {number} {token} {TEXT}".encode()
    misshapen = json.dumps({"mailing_id": 1, "job_id": 1, "text": TEXT, "messages": [[1, number, token]]}).encode()
    for exchange, key in ((JOBS, "job"), (REPORTS, "report"), (EVENTS, "mailing.created")):
        for body in (garbage, misshapen):
            await publisher.publish(exchange, key, body)
    await publisher.close()
