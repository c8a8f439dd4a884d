"""A new final status is two lines and a migration: everything else follows from the list of statuses."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

from tests.servers import Servers, own_database

REPOSITORY = Path(__file__).parents[2]

LINE = '    BLOCKED = "blocked", "Not sent, because the person does not want messages.", (Reason.CANCEL,)\n'
BEFORE = '    UNCERTAIN = (\n        "uncertain",'
MIGRATION = """
from shared.ledger.migrations.recipes import add_final_status

revision = "9999"
down_revision = "{newest}"


def upgrade() -> None:
    statuses = ["new", "active", "sent", "failed", "expired", "canceled", "blocked", "uncertain"]
    add_final_status("blocked", all_statuses=statuses)
"""
# Runs on the changed copy: makes a mailing to two clients, and gives their messages the new status.
SCRIPT = """
import asyncio, os
from pydantic import SecretStr
from sqlalchemy import text
from services.api.application import create_application
from services.api.clients import commands as clients
from services.api.clients.schemas import ClientIn
from services.api.mailings import commands as mailings, queries
from services.api.mailings.schemas import MailingIn
from services.planner.expansion import expand_batch
from shared.contracts import utc_now
from shared.database.engine import open_engine
from shared.database.transactions import transaction
from shared.ledger.jobs import lock_jobs
from shared.ledger.messages import settle_jobs
from shared.ledger.migrations import migrate
from shared.ledger.origin import NO_ORIGIN
from shared.statuses import MessageStatus, Reason
from shared.telemetry.log import configure

configure("test", "error", "json")
url = SecretStr(os.environ["DATABASE"])
print("revision", migrate(url))


async def main():
    engine = open_engine(url, "test")
    times = {"starts_at": "2026-01-01T00:00:00Z", "expired_at": "2090-01-01T00:00:00Z"}
    new = {**times, "text": "hello", "filter": "#x"}
    async with transaction(engine) as connection:
        for number in (79050000001, 79050000002):
            client = ClientIn(number=number, tag="#x", zone="Europe/Moscow")
            await clients.create(connection, client, NO_ORIGIN)
        mailing = await mailings.create(connection, MailingIn.model_validate(new), NO_ORIGIN)
    await expand_batch(engine, mailing.id, chunk=10, batch=10, now=utc_now())
    async with transaction(engine) as connection:
        ids = (await connection.execute(text("SELECT id FROM jobs"))).scalars().all()
        jobs = await lock_jobs(connection, ids)
        await settle_jobs(connection, list(jobs.values()), MessageStatus("blocked"), Reason.CANCEL, utc_now())
    async with transaction(engine) as connection:
        print("counters", (await queries.find(connection, mailing.id)).messages_status.blocked)
    await engine.dispose()


asyncio.run(main())
document = str(create_application().openapi())
print("documented", "'blocked'" in document)
"""


async def test_a_new_final_status_is_two_lines_and_a_migration(servers: Servers, tmp_path: Path) -> None:
    for package in ("services", "shared"):
        ignored = shutil.ignore_patterns("__pycache__", "static")
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=ignored)
    statuses = tmp_path / "shared" / "statuses.py"
    source = statuses.read_text()
    assert source.count(BEFORE) == 1
    statuses.write_text(source.replace(BEFORE, LINE + BEFORE))
    versions = tmp_path / "shared" / "ledger" / "migrations" / "versions"
    newest = max(file.name[:4] for file in versions.glob("[0-9]*.py"))
    (versions / "9999_blocked.py").write_text(MIGRATION.format(newest=newest))

    with own_database(servers, "new_status") as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", SCRIPT),
            cwd=tmp_path,
            env={**os.environ, "DATABASE": url, "PYTHONPATH": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, errors = await asyncio.wait_for(process.communicate(), 100)
    assert out.decode().splitlines() == ["revision 9999", "counters 2", "documented True"], errors.decode()
