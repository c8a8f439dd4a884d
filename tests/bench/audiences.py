"""`python -m tests.bench.audiences`: how soon filters of all kinds are counted and expanded, of a million clients.

For each filter it prints the size of the audience, the time of the counts of a preview, and the longest batch of
an expansion, each the median of several runs. `--plans` adds PostgreSQL's plan of the count. The last line is
`bench-audiences: clients=… slowest_preview_ms=… slowest_batch_ms=…`, the preview being that of audiences of about
100,000; exit status 1 if it takes 300 ms or more.
"""

import argparse
import asyncio
import statistics
import sys
import time
from pathlib import Path

import psycopg
from pydantic import SecretStr, TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from deploy.local.postgres import PrivatePostgres
from services.api.mailings.audience_queries import count_audience
from services.api.mailings.filters import Filter, FilterIn
from shared.database.engine import open_engine
from shared.database.transactions import autocommitted, transaction
from shared.ledger.audience import conditions
from shared.ledger.bulk_messages import prepare_expansion
from shared.ledger.migrations import migrate
from shared.stop_list import MailingKind

GOAL_MS = 300
LARGEST = 110_000  # of an audience to which the goal applies
RUNS = 5
BATCH = 10_000

# Mailing 1 went to all, mailing 2 to a tenth; one message in twenty has failed. A third of the clients have
# attributes.
FILL = """
INSERT INTO clients (number, tag, zone, attributes, created_at)
    SELECT 79000000000 + n * 97 % 1000000000, '#' || n % 10,
        (ARRAY['Europe/Moscow', 'Asia/Omsk', 'Asia/Vladivostok'])[1 + n % 3],
        CASE WHEN n % 3 = 0
            THEN jsonb_build_object('city', 'c' || n / 3 % 10, 'vip', n % 30 = 0, 'visits', n % 100)
            ELSE '{}' END,
        timestamptz '2026-01-01' + n * interval '10 seconds'
    FROM generate_series(1, :clients) AS n;
INSERT INTO messages (mailing_id, client_id, job_id, status, settled_at)
    SELECT 1, id, 1, CASE WHEN id % 20 = 0 THEN 'failed' ELSE 'sent' END::message_status, now()
    FROM clients ORDER BY id;
INSERT INTO messages (mailing_id, client_id, job_id, status, settled_at)
    SELECT 2, id, 2, CASE WHEN id % 20 = 0 THEN 'failed' ELSE 'sent' END::message_status, now()
    FROM clients WHERE tag = '#5' ORDER BY id;
INSERT INTO stops (number) SELECT number FROM clients WHERE id % 100 = 0;
VACUUM ANALYZE;
"""
FILTERS: dict[str, object] = {
    "a tag": "#5",
    "a code and a zone": {"code": [900], "zone": ["Asia/Omsk"]},
    "an attribute": {"attributes": {"vip": [True]}},
    "an attribute of three values": {"attributes": {"city": ["c1", "c2", "c3"]}},
    "two attributes": {"attributes": {"city": ["c1"], "vip": [True]}},
    "new clients": {"created_after": "2026-04-15T00:00:00Z"},
    "a tag, without those who were sent mailing 1": {"tag": "#5", "not_in_mailing": [1]},
    "a tag, without those who were sent mailing 2": {"tag": "#5", "not_in_mailing": [2]},
    "whom mailing 1 did not reach": {"in_mailing": [{"id": 1, "status": ["failed"]}]},
    "whom mailing 2 reached": {"in_mailing": [{"id": 2, "status": ["sent"]}]},
    "of a tag, whom mailing 1 did not reach": {"tag": "#0", "in_mailing": [{"id": 1, "status": ["failed"]}]},
    "either tag or attribute, but not a zone": {
        "any": [{"tag": "#5", "code": [900, 901]}, {"attributes": {"vip": [True]}}],
        "not": {"zone": ["Asia/Omsk"]},
    },
    "a tag, and not (another mailing and an attribute)": {
        "tag": "#5",
        "not": {"in_mailing": [2], "attributes": {"vip": [True]}},
    },
    "a thousand numbers": {"number": [79000000000 + n * 97 for n in range(1, 1001)]},
    "all but a tag": {"not": {"tag": "#5"}},
}


def fill(url: str, clients: int) -> None:
    """Create the clients and the messages of two mailings."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in FILL.replace(":clients", str(clients)).split(";"):
            connection.execute(statement.encode())


async def preview_ms(engine: AsyncEngine, audience: Filter) -> tuple[int, float]:
    """Return the size of an audience, and the milliseconds of the statements of a preview."""
    began = time.perf_counter()
    async with autocommitted(engine) as connection:
        groups, _ = await count_audience(connection, audience, MailingKind.MARKETING)
    return sum(group.clients for group in groups), (time.perf_counter() - began) * 1000


async def slowest_batch_ms(engine: AsyncEngine, audience: Filter, clients: int) -> float:
    """Return the milliseconds of the slowest selection of a batch in the first, middle and last part."""
    found = conditions(audience.normalised(), bounded=True)
    statement = text(
        "SELECT count(*) FROM (SELECT id, zone FROM clients WHERE id > :after AND id <= :until"
        f" AND {' AND '.join(found.sql)} ORDER BY id LIMIT {BATCH}) AS batch"
    )
    times = []
    for after in (0, clients // 2, clients - clients // 20):
        async with transaction(engine) as connection:
            await prepare_expansion(connection)
            began = time.perf_counter()
            await connection.execute(statement, {"after": after, "until": clients, **found.parameters})
            times.append((time.perf_counter() - began) * 1000)
    return max(times)


async def plan(engine: AsyncEngine, audience: Filter) -> str:
    """Return PostgreSQL's plan of the count."""
    found = conditions(audience.normalised())
    statement = text(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, BUFFERS OFF) SELECT zone, code, count(*), min(id) FROM clients"
        f" WHERE {' AND '.join(found.sql)} GROUP BY zone, code"
    )
    async with autocommitted(engine) as connection:
        return "\n".join((await connection.execute(statement, dict(found.parameters))).scalars())


async def measure(url: SecretStr, clients: int, *, plans: bool) -> bool:
    """Measure all filters. Return True if the goal is met."""
    statements, transactions = open_engine(url, "bench", autocommit=True), open_engine(url, "bench")
    parse = TypeAdapter[Filter](FilterIn).validate_python
    previews, batches = [], []
    for name, given in FILTERS.items():
        audience = parse(given)
        runs = [await preview_ms(statements, audience) for _ in range(RUNS)]
        size, preview = runs[0][0], statistics.median(took for _, took in runs)
        batch = statistics.median([await slowest_batch_ms(transactions, audience, clients) for _ in range(3)])
        print(f"{size:>9,} clients, preview {preview:7.1f} ms, batch {batch:7.1f} ms: {name}", flush=True)
        if plans:
            print(await plan(statements, audience), flush=True)
        batches.append(batch)
        previews += [preview] if size <= LARGEST else []
    for engine in (statements, transactions):
        await engine.dispose()
    slowest = max(previews)
    print(
        f"bench-audiences: clients={clients} slowest_preview_ms={slowest:.0f} slowest_batch_ms={max(batches):.0f}"
    )
    return slowest < GOAL_MS


def main() -> None:
    """Measure on a private server, which is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clients", type=int, default=1_000_000)
    parser.add_argument("--plans", action="store_true")
    parser.add_argument("--folder", type=Path, default=Path(".local/bench-audiences"))
    arguments = parser.parse_args()
    with PrivatePostgres(arguments.folder) as server:
        url = SecretStr(server.url)
        migrate(url)
        fill(server.url, arguments.clients)
        met = asyncio.run(measure(url, arguments.clients, plans=arguments.plans))
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
