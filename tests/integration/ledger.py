"""Clients, mailings and a view of the ledger for the tests of the planner."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from json import dumps

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import LogCapture

from services.planner import claiming
from services.planner.capacity import Shares
from services.planner.expansion import expand_batch
from services.planner.pacing import Limit
from services.planner.settings import PlannerSettings
from shared.contracts import Job, utc_now
from shared.database.transactions import transaction
from shared.statuses import MessageStatus
from shared.telemetry.stories import Fields, parse, story

STATUSES = tuple(map(str, MessageStatus))


async def add_clients(engine: AsyncEngine, count: int, *, tag: str = "#t", first: int = 79_050_000_000) -> None:
    """`count` clients with consecutive numbers."""
    async with transaction(engine) as connection:
        await connection.execute(
            text(
                "INSERT INTO clients (number, tag, zone)"
                " SELECT n, :tag, 'Europe/Moscow' FROM generate_series(:first, :last) AS n"
            ),
            {"tag": tag, "first": first, "last": first + count - 1},
        )


async def add_mailing(
    engine: AsyncEngine,
    *,
    tag: str = "#t",
    starts_in: timedelta = timedelta(0),
    lasts: timedelta = timedelta(hours=1),
    request_id: str | None = None,
) -> int:
    """A scheduled mailing to the clients with that tag."""
    now = utc_now()
    async with transaction(engine) as connection:
        mailing_id: int = (
            await connection.execute(
                text(
                    "INSERT INTO mailings (starts_at, expired_at, text, filter, request_id)"
                    " VALUES (:starts, :ends, 'hello', CAST(:filter AS jsonb), :request_id) RETURNING id"
                ),
                {
                    "starts": now + starts_in,
                    "ends": now + starts_in + lasts,
                    "filter": dumps({"tag": [tag]}),
                    "request_id": request_id,
                },
            )
        ).scalar_one()
        await connection.execute(text("INSERT INTO counters (mailing_id) VALUES (:id)"), {"id": mailing_id})
    return mailing_id


async def expand_all(
    engine: AsyncEngine, mailing_id: int, settings: PlannerSettings, *, now: datetime | None = None
) -> int:
    """Expands to the end; returns the number of messages."""
    made = 0
    while True:
        progress = await expand_batch(
            engine,
            mailing_id,
            chunk=settings.chunk_size,
            batch=settings.expand_batch,
            now=now or utc_now(),
        )
        assert progress is not None, "nobody else is at it"
        made += progress.messages
        if progress.is_complete:
            return made


async def claim(
    connection: AsyncConnection,
    shares: Mapping[int, int],
    lease_until: datetime,
    now: datetime,
    limits: Mapping[int, Limit] | None = None,
) -> list[Job]:
    """Claims jobs of mailings as they are now."""
    rows = await connection.execute(text("SELECT id, revision FROM mailings"))
    revisions = {row.id: row.revision for row in rows}
    return await claiming.claim(connection, Shares(shares), revisions, lease_until, now, limits or {})


async def counters(engine: AsyncEngine, mailing_id: int) -> dict[str, int]:
    """The mailing's counters that are not zero, without `total`; checked against the rows."""
    async with transaction(engine) as connection:
        row = (
            await connection.execute(text("SELECT * FROM counters WHERE mailing_id = :id"), {"id": mailing_id})
        ).one()
        counted = (
            await connection.execute(
                text(
                    "SELECT CASE WHEN m.status = 'new' AND j.state = 'released' THEN 'active'"
                    " ELSE m.status::text END AS status, count(*) FROM messages AS m"
                    " JOIN jobs AS j ON j.id = m.job_id WHERE m.mailing_id = :id GROUP BY 1"
                ),
                {"id": mailing_id},
            )
        ).all()
    stored = {status: getattr(row, status) for status in STATUSES if getattr(row, status)}
    assert stored == dict(tuple(pair) for pair in counted), "counters equal rows"
    assert row.total == sum(stored.values())
    return stored


async def query(engine: AsyncEngine, statement: str, **parameters: object) -> Sequence[tuple[object, ...]]:
    """Rows of any query."""
    async with transaction(engine) as connection:
        return [tuple(row) for row in await connection.execute(text(statement), parameters)]


def told_of(mailing_id: int, lines: LogCapture) -> list[Fields]:
    """Return the story of the mailing, as `mailing logs --mailing` shows it."""
    parsed = (parse(dumps(entry)) for entry in lines.entries)
    return story((line for line in parsed if line), "mailing", mailing_id)
