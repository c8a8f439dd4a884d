"""Scenario of the demo: add clients and a mailing by REST, and wait until all messages are final."""

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator
from datetime import UTC, datetime, timedelta

import httpx
import psycopg
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError

from deploy.local.errors import CommandError
from deploy.local.ledger_comparison import compare
from deploy.local.processes import Processes
from deploy.local.progress import Progress
from deploy.local.reckoning import Reckoning
from deploy.local.system import Plan

CLIENTS = 10_000
AUDIENCE = CLIENTS // 2
TAG, OTHER_TAG = "#demo", "#other"
FIRST_NUMBER = 7905_000_0000
AT_ONCE = 32  # requests
LEAD = timedelta(seconds=3)
LIFE = timedelta(minutes=10)
STANDSTILL = 30.0  # seconds without any change, after which the demo gives up


async def add_clients(plan: Plan, token: str, database_url: str, progress: Progress) -> None:
    """Add CLIENTS clients, one POST each. Raise CommandError if the database has clients already."""
    _refuse_a_database_in_use(database_url)
    began = time.monotonic()
    bodies = _client_bodies()
    # Not over httpx: a request costs it half of what it costs the API, and they share the machine's cores.
    async with ClientBuilder().default_headers(_header(token)).no_proxy().build() as http:
        await _run_all(_add_some(http, plan.api_url, bodies, progress) for _ in range(AT_ONCE))
    took = time.monotonic() - began
    progress.print_line(f"added {CLIENTS} clients by REST in {took:.1f} s, {AUDIENCE} of them with the tag {TAG}")


async def _add_some(
    http: Client, api_url: str, bodies: Iterator[tuple[int, dict[str, int | str]]], progress: Progress
) -> None:
    for position, body in bodies:
        try:
            answer = await http.post(f"{api_url}/api/client/").body_json(body).build().send()
        except PyreqwestError as error:
            raise CommandError(f"POST /api/client/: {error}") from error
        if answer.status != httpx.codes.CREATED:
            raise CommandError(f"POST /api/client/: {answer.status}: {(await answer.text())[:500]}")
        progress.print_now_and_then(f"adding clients by REST: {position} of {CLIENTS}")


async def _run_all(coroutines: Iterable[Coroutine[None, None, None]]) -> None:
    """Run the coroutines at the same time. The first error ends all of them and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for coroutine in coroutines:
                group.create_task(coroutine)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None


async def send_mailing(
    plan: Plan, token: str, database_url: str, processes: Processes, progress: Progress
) -> Reckoning:
    """Create the mailing, wait for its end, and compare the database with what the sandbox received."""
    async with httpx.AsyncClient(
        base_url=plan.api_url, headers=_header(token), timeout=30, trust_env=False
    ) as api:
        starts_at = datetime.now(UTC) + LEAD
        mailing_id = await _add_mailing(api, starts_at)
        progress.print_line(f"mailing {mailing_id} starts in {LEAD.seconds} s")
        await _watch(api, mailing_id, starts_at, processes, progress)
    progress.print_line("comparing the database with what the provider received")
    return await compare(plan.control_url, database_url, mailing_id, TAG)


def _header(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _client_bodies() -> Iterator[tuple[int, dict[str, int | str]]]:
    for position in range(CLIENTS):
        tag = TAG if position % 2 == 0 else OTHER_TAG
        yield position, {"number": FIRST_NUMBER + position, "tag": tag, "zone": "Europe/Moscow"}


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
    """Wait until every message is final, or nothing has changed for STANDSTILL: the reckoning shows the rest."""
    last_counts: dict[str, int] = {}
    deadline = time.monotonic() + LEAD.total_seconds() + STANDSTILL
    while time.monotonic() < deadline:
        processes.ensure_running()
        answer = await api.get(f"/api/mailing/{mailing_id}/")
        _expect(answer, httpx.codes.OK)
        counts: dict[str, int] = answer.json()["messages_status"]
        progress.print_counts(counts)
        if counts["total"] >= AUDIENCE and counts["new"] == counts["active"] == 0:
            return
        if counts != last_counts and datetime.now(UTC) > starts_at:
            last_counts, deadline = counts, time.monotonic() + STANDSTILL
        await asyncio.sleep(0.2)


def _refuse_a_database_in_use(database_url: str) -> None:
    """Raise CommandError if MAILING_DATABASE_URL names a database with somebody's data."""
    with psycopg.connect(database_url) as connection:
        if connection.execute("SELECT 1 FROM clients UNION ALL SELECT 1 FROM mailings LIMIT 1").fetchone():
            raise CommandError(
                "the database given by MAILING_DATABASE_URL holds clients or mailings: give an empty one"
            )


def _expect(answer: httpx.Response, status: int) -> None:
    if answer.status_code != status:
        request = answer.request
        raise CommandError(
            f"{request.method} {request.url}: {answer.status_code}, not {status}: {answer.text[:500]}"
        )
