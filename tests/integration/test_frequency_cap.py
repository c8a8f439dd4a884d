"""Caps on a real ledger: who has got enough gets nothing, decided one message after the other."""

import random
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.planner.settings import PlannerSettings
from shared.contracts import Job
from shared.database.transactions import transaction
from tests.integration.ledger import add_clients, add_mailing, claim, expand_all, query

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
DAY = timedelta(days=1)
CLIENTS = 12


async def mailing(engine: AsyncEngine, settings: PlannerSettings, words: str, **columns: object) -> int:
    """Create an expanded mailing to everybody."""
    mailing_id = await add_mailing(engine)
    values = {"text": words, "starts_at": NOW - DAY, "expired_at": NOW + 30 * DAY, **columns}
    sets = ", ".join(f"{name} = :{name}" for name in values if name != "kind")
    if "kind" in values:
        sets += ", kind = CAST(:kind AS mailing_kind)"
    async with transaction(engine) as connection:
        await connection.execute(text(f"UPDATE mailings SET {sets} WHERE id = :id"), {**values, "id": mailing_id})
    await expand_all(engine, mailing_id, settings, now=NOW - DAY)
    return mailing_id


async def release(engine: AsyncEngine, mailings: list[int], now: datetime) -> list[Job]:
    async with transaction(engine) as connection:
        return await claim(connection, dict.fromkeys(mailings, 1_000), now + timedelta(minutes=1), now)


async def settle(engine: AsyncEngine, chance: random.Random, at: datetime) -> None:
    """Give what is with the senders any final status."""
    async with transaction(engine) as connection:
        for message_id, job_id in await query(
            engine,
            "SELECT m.id, j.id FROM messages m JOIN jobs j ON j.id = job_id"
            " WHERE status = 'new' AND state = 'released' ORDER BY m.id",
        ):
            await connection.execute(
                text("UPDATE messages SET status = CAST(:s AS message_status), settled_at = :at WHERE id = :id"),
                {"s": chance.choice(["sent", "sent", "uncertain", "failed"]), "at": at, "id": message_id},
            )
            await connection.execute(
                text("UPDATE jobs SET open = 0, state = 'done', done_at = :at WHERE id = :id"),
                {"at": at, "id": job_id},
            )


async def failed_of(engine: AsyncEngine, mailings: list[int]) -> list[tuple[int, int]]:
    """Return client and mailing of each failed message: the person did not get it."""
    rows = await query(engine, "SELECT client_id, mailing_id FROM messages WHERE status = 'failed'")
    return [(int(str(client)), int(str(created))) for client, created in rows if created in mailings]


async def test_nobody_gets_more_than_the_caps_allow_and_nobody_less(
    engine: AsyncEngine, settings: PlannerSettings
) -> None:
    chance = random.Random(7)
    await add_clients(engine, CLIENTS)
    got = defaultdict[int, list[tuple[datetime, str, str]]](list)  # by client: when, kind, text
    for turn in range(8):
        now = NOW + turn * DAY
        made: list[tuple[int, str, str, dict[str, int]]] = []
        for _ in range(3):
            kind, words = chance.choice(["marketing", "marketing", "service"]), chance.choice(["hello", "bye"])
            limits: dict[str, int] = {}
            if kind == "marketing" and chance.random() < 0.6:
                limits |= {"cap_messages": chance.randint(1, 3), "cap_days": chance.randint(1, 4)}
            if chance.random() < 0.4:
                limits["no_repeat"] = chance.randint(1, 4)
            created = await mailing(engine, settings, words, kind=kind, **limits)
            made.append((created, kind, words, limits))
        jobs = await release(engine, [one[0] for one in made], now)
        sent_to = defaultdict[int, set[int]](set)
        for job in jobs:
            sent_to[job.mailing_id] |= set(job.client_ids or ())
        free = [one for one in made if not one[3]]
        limited = [one for one in made if one[3]]
        for client in range(1, CLIENTS + 1):
            for created, kind, words, limits in (*free, *limited):
                expected = None
                if any(
                    w == words and at > now - limits["no_repeat"] * DAY
                    for at, _, w in got[client]
                    if "no_repeat" in limits
                ):
                    expected = "repeated"
                elif "cap_days" in limits and limits["cap_messages"] <= sum(
                    k == "marketing" and at > now - limits["cap_days"] * DAY for at, k, _ in got[client]
                ):
                    expected = "capped"
                assert (client in sent_to[created]) == (expected is None), (turn, client, created, limits)
                if expected is None:
                    got[client].append((now, kind, words))
                else:
                    reason = await query(
                        engine,
                        f"SELECT status::text, reason::text FROM messages WHERE mailing_id = {created}"
                        f" AND client_id = {client}",
                    )
                    assert reason == [("canceled", expected)]
        await settle(engine, chance, now)
        by_id = {one[0]: one for one in made}
        for client, created in await failed_of(engine, [*by_id]):
            got[client].remove((now, by_id[created][1], by_id[created][2]))
    reasons = Counter(await query(engine, "SELECT reason::text FROM messages"))
    assert {("capped",), ("repeated",)} <= reasons.keys(), "the test has tried both"


async def test_a_mailing_without_a_cap_reads_nothing_more(engine: AsyncEngine, settings: PlannerSettings) -> None:
    await add_clients(engine, 2)
    first = await mailing(engine, settings, "hello")
    second = await mailing(engine, settings, "hello")
    assert len(await release(engine, [first, second], NOW)) == 2
