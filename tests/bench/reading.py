"""`python -m tests.bench.reading`: how soon the API answers with five million messages, and its CRUD against bare
FastAPI with one query.

The last line is `bench-api: messages=… mailings_p99_ms=… mailing_p99_ms=… messages_p99_ms=… person_p99_ms=…
preview_p99_ms=… crud_vs_bare=… crud_vs_driver=…`, the last two being the lowest ratios of the operations, to
FastAPI on SQLAlchemy, as we have it, and on the driver alone; exit status 1 if a goal is missed.
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr
from pyreqwest.client import Client, ClientBuilder

from deploy.local.ports import free_ports
from deploy.local.stack import Servers as PrivateServers
from shared.ledger.migrations import migrate
from tests.e2e.system import System, until
from tests.sandbox import running_sandbox
from tests.servers import Servers
from tests.tokens import bearer, create_api_token

REPOSITORY = Path(__file__).parents[2]
MESSAGES = 5_000_000
MAILINGS = 101  # one of them with a fifth of all messages
READS = 1_000  # of each kind
CALLERS, SECONDS, ROUNDS = 4, 3.0, 3  # at once, of each operation, of everything
WARM = 20  # more of each: the first open connections and fill caches
PREVIEWS = 30
# To a tenth of the clients, each by the clock of its own zone.
PREVIEW = {
    "starts_at": "2030-01-31T09:00:00Z",
    "expired_at": "2030-02-02T09:00:00Z",
    "text": "hello",
    "filter": "#tenth",
    "window": {"from": "09:00", "until": "21:00"},
    "rate": 2,
}
NEAR = 10_000  # clients that are looked at and changed
SEED = 1

# The goals
P99_MS = {"mailings": 10, "mailing": 10, "messages": 10, "person": 50, "preview": 300}
VS_BARE = 0.7

# One message in a hundred has failed.
FILL = """
INSERT INTO clients (number, tag, zone)
    SELECT 79000000000 + n, CASE WHEN n % 10 = 0 THEN '#tenth' ELSE '#bench' END, 'Europe/Moscow'
    FROM generate_series(1, {large}) AS n;
INSERT INTO mailings (starts_at, expired_at, text, filter, state, started_at, finished_at)
    SELECT now(), now() + interval '1 day', 'hello', '{{"tag": ["#bench"]}}', 'finished', now(), now()
    FROM generate_series(1, {mailings});
INSERT INTO jobs (mailing_id, due_at, size, open, state, release, done_at, sender)
    SELECT m, now(), 100, 0, 'done', 1, now(), 'sender@bench:1'
    FROM generate_series(1, {mailings}) AS m,
        generate_series(1, (CASE WHEN m = 1 THEN {large} ELSE {small} END) / 100) ORDER BY m;
INSERT INTO messages (mailing_id, client_id, job_id, settled_at, status, reason, duration_ms)
    SELECT m, c, CASE WHEN m = 1 THEN 0 ELSE ({large} + (m - 2) * {small}) / 100 END + (c + 99) / 100,
        now(),
        CASE WHEN c % 100 = 0 THEN 'failed' ELSE 'sent' END::message_status,
        CASE WHEN c % 100 = 0 THEN 'answer' ELSE 'none' END::message_reason, 12
    FROM generate_series(1, {mailings}) AS m,
        generate_series(1, CASE WHEN m = 1 THEN {large} ELSE {small} END) AS c;
INSERT INTO counters (mailing_id, total, sent, failed)
    SELECT mailing_id, count(*), count(*) FILTER (WHERE status = 'sent'), count(*) FILTER (WHERE status = 'failed')
    FROM messages GROUP BY mailing_id;
"""

Operation = Callable[[Client, str, int], Awaitable[object]]  # with a client, a URL, and a number that is new


def fill(database_url: str, messages: int) -> None:
    """Mailings that are over, as they would be left behind."""
    large = messages // 5
    small = (messages - large) // (MAILINGS - 1) // 100 * 100
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in FILL.format(mailings=MAILINGS, large=large, small=small).split(";\n"):
            if statement.strip():
                connection.execute(statement.encode())
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")


async def ask(http: Client, method: str, url: str, body: object | None = None) -> httpx.Response:
    """Raises AssertionError when it is refused."""
    request = http.request(method, url)
    answer = await (request if body is None else request.body_json(body)).build().send()
    text = await answer.bytes()
    assert answer.status < 300, f"{method} {url}: {answer.status}: {text.to_bytes()[:300]!r}"
    return httpx.Response(answer.status, content=text.to_bytes())


async def percentiles(url: str, token: str, messages: int) -> dict[str, tuple[float, float]]:
    """Median and 99th percentile, in milliseconds, of each kind of read, by one caller."""
    chance = random.Random(SEED)
    largest = messages // 5

    def kinds() -> Iterator[tuple[str, str]]:
        mailing = chance.choice([1, chance.randint(2, MAILINGS)])
        after = chance.randint(1, largest if mailing == 1 else 100)
        yield "mailings", f"/api/mailing/?after={chance.randint(50, MAILINGS)}"
        yield "mailing", f"/api/mailing/{mailing}/"
        status = chance.choice(["", "&status=sent", "&status=failed", "&status=expired"])
        yield "messages", f"/api/mailing/{mailing}/messages/?after={after}{status}"
        yield "person", f"/api/message/?number={79_000_000_000 + chance.randint(1, largest)}"

    took: dict[str, list[float]] = {}
    async with ClientBuilder().default_headers(bearer(token)).no_proxy().build() as http:
        for number in range(READS + WARM):
            for kind, path in kinds():
                began = time.perf_counter()
                await ask(http, "GET", url + path)
                if number >= WARM:
                    took.setdefault(kind, []).append((time.perf_counter() - began) * 1000)
        for number in range(PREVIEWS + WARM):
            began = time.perf_counter()
            await ask(http, "POST", f"{url}/api/mailing/preview/", PREVIEW)
            if number >= WARM:
                took.setdefault("preview", []).append((time.perf_counter() - began) * 1000)
    return {
        kind: (statistics.median(times), statistics.quantiles(times, n=100)[98]) for kind, times in took.items()
    }


async def create(http: Client, url: str, number: int) -> int:
    body = {"number": number, "tag": "#new", "zone": "Europe/Moscow"}
    client_id: int = (await ask(http, "POST", f"{url}/api/client/", body)).json()["id"]
    return client_id


async def find(http: Client, url: str, number: int) -> object:
    return await ask(http, "GET", f"{url}/api/client/{number % NEAR + 1}/")


async def change(http: Client, url: str, number: int) -> object:
    return await ask(http, "PATCH", f"{url}/api/client/{number % NEAR + 1}/", {"tag": f"#{number}"})


async def page(http: Client, url: str, number: int) -> object:
    return await ask(http, "GET", f"{url}/api/client/?after={number % NEAR + 1}")


async def create_and_delete(http: Client, url: str, number: int) -> object:
    return await ask(http, "DELETE", f"{url}/api/client/{await create(http, url, number)}/")


OPERATIONS: dict[str, Operation] = {
    "create": create,
    "get": find,
    "change": change,
    "list": page,
    "create and delete": create_and_delete,
}


async def rate(operation: Operation, url: str, token: str, numbers: Iterator[int]) -> float:
    """Return the rate per second of several callers at once."""
    done, end = 0, time.perf_counter() + SECONDS

    async def call(http: Client) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await operation(http, url, next(numbers))
            done += 1

    async with ClientBuilder().default_headers(bearer(token)).no_proxy().build() as http:
        await asyncio.gather(*(call(http) for _ in range(CALLERS)))
    return done / SECONDS


@asynccontextmanager
async def bare_api(layer: str, database_url: str, log: Path) -> AsyncIterator[str]:
    """Its URL."""
    (port,) = free_ports(1)
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.bench.bare_api", layer),
            cwd=REPOSITORY,
            env={**os.environ, "MAILING_DATABASE_URL": database_url, "BARE_PORT": str(port)},
            stdout=out,
            stderr=out,
        )
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        try:
            async with httpx.AsyncClient(trust_env=False) as http:
                return (await http.get(f"{url}/api/client/1/")).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    try:
        await until(answers, timeout=30, what="the bare API is ready")
        yield url
    finally:
        process.terminate()
        await process.wait()


async def run(servers: Servers, logs: Path, messages: int) -> bool:
    """Return True if the goals are reached."""
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {what}", flush=True)

    await asyncio.to_thread(fill, servers.database_url, messages)
    tell(f"{messages} messages are there")
    numbers = iter(range(79_500_000_000, 79_999_999_999))
    rates: dict[str, list[tuple[float, ...]]] = {}
    async with (
        running_sandbox() as sandbox,
        bare_api("sqlalchemy", servers.database_url, logs / "sqlalchemy.log") as bare,
        bare_api("psycopg", servers.database_url, logs / "psycopg.log") as driver,
    ):
        system = System(servers, sandbox, logs, {"MAILING_LOG_LEVEL": "warning"})
        try:
            await system.start("api")
            await until(system.is_ready, timeout=30, what="the API is ready")
            url = str(system.api.base_url).rstrip("/")
            token = await create_api_token(servers.database_url)
            reads = await percentiles(url, token, messages)
            for kind, (median, p99) in reads.items():
                tell(f"{kind}: median {median:.1f} ms, p99 {p99:.1f} ms")
            for _ in range(ROUNDS):
                for name, operation in OPERATIONS.items():
                    row = [await rate(operation, who, token, numbers) for who in (url, bare, driver)]
                    rates.setdefault(name, []).append(tuple(row))
        finally:
            await system.close()
    vs_bare, vs_driver = [], []
    for name, rows in rates.items():
        ours, by_bare, by_driver = (statistics.median(column) for column in zip(*rows, strict=True))
        vs_bare.append(ours / by_bare)
        vs_driver.append(ours / by_driver)
        tell(
            f"{name}: {ours:.0f}/s, bare with SQLAlchemy {by_bare:.0f}/s ({vs_bare[-1]:.2f}),"
            f" with the driver alone {by_driver:.0f}/s ({vs_driver[-1]:.2f})"
        )
    p99s = " ".join(f"{kind}_p99_ms={reads[kind][1]:.1f}" for kind in P99_MS)
    crud = f"crud_vs_bare={min(vs_bare):.2f} crud_vs_driver={min(vs_driver):.2f}"
    print(f"bench-api: messages={messages} {p99s} {crud}")
    return all(reads[kind][1] < goal for kind, goal in P99_MS.items()) and min(vs_bare) >= VS_BARE


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.reading", description=__doc__)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    messages: int = parser.parse_args().messages
    state = REPOSITORY / ".local" / "bench-api"
    logs = state / "logs"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    with PrivateServers(state / "servers", throwaway=True, environment={}) as servers:
        migrate(SecretStr(servers.database_url))
        return 0 if asyncio.run(run(Servers(servers.database_url, servers.broker_url), logs, messages)) else 1


if __name__ == "__main__":
    sys.exit(main())
