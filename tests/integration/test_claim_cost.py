"""Cost of a claim: it reads the rows of the jobs that it takes, however many mailings are running."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from shared.contracts import utc_now
from shared.database.transactions import transaction
from shared.ledger.jobs import ReleaseShare, claim_jobs

TAKEN = 200


async def _add_mailings(connection: AsyncConnection, count: int) -> None:
    """Add running mailings with 20 planned jobs of one message each. PostgreSQL has no statistics of them yet."""
    await connection.execute(
        text(
            "WITH added AS (INSERT INTO mailings (starts_at, expired_at, text, filter, rate, state)"
            " SELECT now(), now() + interval '1 hour', 'hello', '{}', 1, 'running'"
            " FROM generate_series(1, :count) RETURNING id)"
            " INSERT INTO jobs (mailing_id, due_at, size, open)"
            " SELECT id, now(), 1, 1 FROM added, generate_series(1, 20)"
        ),
        {"count": count},
    )


async def _rows_read(connection: AsyncConnection) -> dict[str, int]:
    """Return, by table, how many rows this transaction has read."""
    rows = await connection.execute(
        text("SELECT relname, seq_tup_read + coalesce(idx_tup_fetch, 0) AS read FROM pg_stat_xact_user_tables")
    )
    return {row.relname: row.read for row in rows}


@pytest.mark.parametrize("mailings", [500, 2000])
async def test_a_claim_reads_few_rows_for_each_job(engine: AsyncEngine, mailings: int) -> None:
    async with transaction(engine) as connection:
        await _add_mailings(connection, mailings)
    now = utc_now() + timedelta(seconds=1)
    async with transaction(engine) as connection:
        ids = (
            await connection.execute(text("SELECT id FROM mailings ORDER BY id LIMIT :n"), {"n": TAKEN})
        ).scalars()
        shares = [ReleaseShare(mailing_id, 1, 0, now, counts=False) for mailing_id in ids]
        before = await _rows_read(connection)
        claimed = await claim_jobs(connection, shares, 0, now + timedelta(minutes=1), now)
        after = await _rows_read(connection)
    assert len(claimed) == TAKEN
    read = {table: after[table] - before.get(table, 0) for table in ("jobs", "mailings")}
    assert read["mailings"] <= TAKEN
    assert read["jobs"] <= 3 * TAKEN
