"""Part of `compose.sh` inside the composition's network: create a mailing, and compare both sides at its end.

It runs in the service's image with this checkout mounted, so that it imports only packages of the image.
"""

import argparse
import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta

import httpx
import psycopg

from deploy.local.ledger_comparison import compare
from deploy.sandbox.client import SandboxControl
from tests.directory import add_clients
from tests.tokens import TokenOnDemand

API = "http://api:8000"
CONTROL = "http://sandbox:8091"
CLIENTS = 40_000
AUDIENCE = CLIENTS // 2
TAG, OTHER_TAG = "#demo", "#other"
LATENCY_MS = 200  # of the provider: that many senders make that much speed, whatever the machine
LEAD = timedelta(seconds=1)
LIFE = timedelta(minutes=15)
STANDSTILL = 120.0  # seconds without any change, after which waiting is given up


async def begin() -> None:
    """Make the provider slow, add the clients, create the mailing, and print its id."""
    async with SandboxControl(CONTROL) as sandbox:
        await sandbox.behave("slow", latency_ms=LATENCY_MS)
    for tag in (TAG, OTHER_TAG):
        add_clients(os.environ["MAILING_DATABASE_URL"], tag, CLIENTS // 2)
    starts_at = datetime.now(UTC) + LEAD
    mailing = {
        "starts_at": starts_at.isoformat(),
        "expired_at": (starts_at + LIFE).isoformat(),
        "text": "Hello from the composition",
        "filter": TAG,
    }
    async with httpx.AsyncClient(base_url=API, auth=TokenOnDemand(os.environ["MAILING_DATABASE_URL"])) as api:
        answer = await api.post("/api/mailing/", json=mailing)
    print(answer.raise_for_status().json()["id"])


async def end(mailing_id: int) -> int:
    """Wait until every message is final or nothing changes; print the reckoning and return the exit status."""
    await _settled(mailing_id)
    reckoning = await compare(CONTROL, os.environ["MAILING_DATABASE_URL"], mailing_id, TAG)
    problems = reckoning.problems(CLIENTS, AUDIENCE)
    if problems:
        print(f"it does not add up: {'; '.join(problems)}", file=sys.stderr)
    print(reckoning.line())
    return 1 if problems else 0


async def _settled(mailing_id: int) -> None:
    last: list[tuple[str, int]] = []
    deadline = time.monotonic() + STANDSTILL
    while time.monotonic() < deadline:
        with _connected() as connection:
            counts: list[tuple[str, int]] = connection.execute(
                "SELECT status::text, count(*) FROM messages WHERE mailing_id = %s GROUP BY 1 ORDER BY 1",
                (mailing_id,),
            ).fetchall()
        if sum(count for _, count in counts) == AUDIENCE and "new" not in dict(counts):
            return
        if counts != last:
            last, deadline = counts, time.monotonic() + STANDSTILL
        await asyncio.sleep(0.5)


def _connected() -> psycopg.Connection:
    return psycopg.connect(os.environ["MAILING_DATABASE_URL"])


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.composition", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("begin")
    commands.add_parser("end").add_argument("mailing", type=int)
    arguments = parser.parse_args()
    if arguments.command == "end":
        return asyncio.run(end(arguments.mailing))
    asyncio.run(begin())
    return 0


if __name__ == "__main__":
    sys.exit(main())
