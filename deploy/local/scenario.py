"""The demo's part on stage: it uses the system as a caller would, then asks both sides what happened."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
from psycopg.rows import class_row
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from deploy.local.errors import CommandError
from deploy.local.processes import Processes
from deploy.local.progress import Counting, Progress
from deploy.local.reckoning import Arrival, Message, Reckoning, reckon
from deploy.local.system import Plan

CLIENTS = 10_000
AUDIENCE = CLIENTS // 2
TAG, OTHER_TAG = "#demo", "#other"
FIRST_NUMBER = 7905_000_0000
AT_ONCE = 32  # requests
LEAD = timedelta(seconds=3)
LIFE = timedelta(minutes=10)
STANDSTILL = 30.0  # seconds without any change, after which waiting is given up
PAGE = 10_000


async def add_clients(plan: Plan, database_url: str, progress: Progress) -> None:
    """One POST a client. Raises CommandError in a database that holds something already."""
    _refuse_a_database_in_use(database_url)
    began = time.monotonic()
    bodies = _client_bodies()
    # Not over httpx, whose cost for a request is half of the API's: the two share what cores there are.
    with progress.counting("adding clients by REST", CLIENTS) as counting:
        async with ClientBuilder().no_proxy().build() as http:
            await _all_of(_add_some(http, plan.api_url, bodies, counting) for _ in range(AT_ONCE))
    took = time.monotonic() - began
    progress.say(f"added {CLIENTS} clients by REST in {took:.1f} s, {AUDIENCE} of them with the tag {TAG}")


async def _add_some(
    http: Client, api_url: str, bodies: Iterator[dict[str, int | str]], counting: Counting
) -> None:
    for body in bodies:
        try:
            answer = await http.post(f"{api_url}/api/client/").body_json(body).build().send()
        except PyreqwestError as error:
            raise CommandError(f"POST /api/client/: {error}") from error
        if answer.status != httpx.codes.CREATED:
            raise CommandError(f"POST /api/client/: {answer.status}: {(await answer.text())[:500]}")
        counting.advance()


async def _all_of(coroutines: Iterable[Coroutine[None, None, None]]) -> None:
    """Runs them at once; the first error ends them all and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def send_mailing(plan: Plan, database_url: str, processes: Processes, progress: Progress) -> Reckoning:
    """Creates the mailing, watches it to its end, and asks both sides what happened."""
    async with _http(plan.api_url) as api, _http(plan.control_url) as sandbox:
        starts_at = datetime.now(UTC) + LEAD
        mailing_id = await _add_mailing(api, starts_at)
        progress.say(f"mailing {mailing_id} starts in {LEAD.seconds} s")
        await _watch(api, mailing_id, starts_at, processes, progress)
        arrivals = await _arrivals(sandbox)
    progress.say("comparing the database with what the provider received")
    return _compare(database_url, mailing_id, arrivals, starts_at)


def _http(url: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=url, timeout=30, trust_env=False)


def _client_bodies() -> Iterator[dict[str, int | str]]:
    for position in range(CLIENTS):
        tag = TAG if position % 2 == 0 else OTHER_TAG
        yield {"number": FIRST_NUMBER + position, "tag": tag, "zone": "Europe/Moscow"}


async def _add_mailing(api: httpx.AsyncClient, starts_at: datetime) -> int:
    answer = await api.post(
        "/api/mailing/",
        json={
            "starts_at": starts_at.isoformat(),
            "expired_at": (starts_at + LIFE).isoformat(),
            "text": "Hello from the demo",
            "filter": TAG,
        },
    )
    _expect(answer, httpx.codes.CREATED)
    return int(answer.json()["id"])


async def _watch(
    api: httpx.AsyncClient, mailing_id: int, starts_at: datetime, processes: Processes, progress: Progress
) -> None:
    """Until the whole audience has a final state, or nothing moves any more: the reckoning tells what is owed."""
    last_counts: dict[str, int] = {}
    deadline = time.monotonic() + LEAD.total_seconds() + STANDSTILL
    with progress.table():
        while time.monotonic() < deadline:
            processes.ensure_running()
            answer = await api.get(f"/api/mailing/{mailing_id}/")
            _expect(answer, httpx.codes.OK)
            counts: dict[str, int] = answer.json()["messages_status"]
            progress.show(counts, starts_at - datetime.now(UTC))
            if counts["total"] >= AUDIENCE and counts["new"] == counts["active"] == 0:
                return
            if counts != last_counts and datetime.now(UTC) > starts_at:
                last_counts, deadline = counts, time.monotonic() + STANDSTILL
            await asyncio.sleep(0.2)


async def _arrivals(sandbox: httpx.AsyncClient) -> dict[int, Arrival]:
    found: dict[int, Arrival] = {}
    after: int | None = 0
    while after is not None:
        answer = await sandbox.get("/sandbox/messages", params={"after": after, "limit": PAGE})
        _expect(answer, httpx.codes.OK)
        page = answer.json()
        found |= {item["id"]: Arrival(item["count"], item["first_at"], item["last_at"]) for item in page["items"]}
        after = page["next"]
    return found


def _refuse_a_database_in_use(database_url: str) -> None:
    """One that MAILING_DATABASE_URL names may hold what is dear to somebody."""
    with psycopg.connect(database_url) as connection:
        if connection.execute("SELECT 1 FROM clients UNION ALL SELECT 1 FROM mailings LIMIT 1").fetchone():
            raise CommandError(
                "the database given by MAILING_DATABASE_URL holds clients or mailings: give an empty one"
            )


def _compare(database_url: str, mailing_id: int, arrivals: dict[int, Arrival], starts_at: datetime) -> Reckoning:
    with psycopg.connect(database_url) as connection:
        clients = connection.execute("SELECT id, tag FROM clients").fetchall()
        with connection.cursor(row_factory=class_row(Message)) as cursor:
            messages = cursor.execute(
                "SELECT id, client_id, status FROM messages WHERE mailing_id = %s", (mailing_id,)
            ).fetchall()
    return reckon(
        clients=len(clients),
        audience=[client_id for client_id, tag in clients if tag == TAG],
        messages=messages,
        arrivals=arrivals,
        starts_at=starts_at,
    )


def _expect(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        request = answer.request
        raise CommandError(
            f"{request.method} {request.url}: {answer.status_code}, not {status}: {answer.text[:500]}"
        )
