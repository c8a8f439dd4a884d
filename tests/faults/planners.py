"""Cases of the planners: a frozen one, many mailings at once, a slow provider, and reports that are gone."""

import asyncio
import itertools
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
from pydantic import SecretStr

from deploy.sandbox.ledger import Received
from shared.broker.connection import close, connect
from shared.contracts import utc_now
from shared.topology import PLANNER_REPORTS
from tests.faults.findings import Findings
from tests.faults.ground import TAG, Case, Ground
from tests.rules.arrivals import percentile
from tests.rules.world import World

LIMITED = 500
SMALL = 2_000
STEADY = 8.0  # seconds


@dataclass(frozen=True, slots=True)
class Outstanding:
    """Messages without a result that the senders had, the most of several looks, and those done a second."""

    most: int
    speed: float


async def frozen_planner(ground: Ground) -> Findings:
    """Freeze one of two planners while it has the lock of the release."""
    findings = Findings()
    async with ground.world(planners=0) as world:
        for name in ("first", "second"):
            await world.system.start("planner", name, {"MAILING_HOST_NAME": name})
            await asyncio.sleep(2)  # the first one gets the queue of reports
        world.add_clients(60_000, TAG)
        await ground.sandbox.control.behave("slow", latency_ms=50)
        mailing = await world.system.add_mailing(TAG)
        await world.until_received(1_000)
        process = world.system.processes["first"]
        for _ in range(200):
            process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.3)  # a statement that it has sent already may end the transaction
            if holds_lock(world.database_url, "planner@first"):
                break
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(ground.chance.uniform(0.01, 0.05))
        else:
            return Findings(broken=["the planner was never caught with the lock"])
        frozen_at = time.time()
        await asyncio.sleep(14)
        arrivals = sorted(one.first_at for one in await ground.sandbox.control.messages())
        after = [frozen_at, *(instant for instant in arrivals if instant > frozen_at)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(after)]
        findings.planner_gap_s = max(gaps, default=14.0)
        findings.expect(findings.planner_gap_s <= 10, "nothing was POSTed for more than 10 s")
        log = (ground.logs / f"{ground.cases:02}" / "second.log").read_text()
        findings.expect("release_taken_over" in log, "the other planner does not say that it took over")
        (await world.system.api.post(f"/api/mailing/{mailing}/cancel/")).raise_for_status()
    findings.text = f"gap {findings.planner_gap_s:.1f} s"
    return findings


async def many_limited(ground: Ground) -> Findings:
    """Start 500 mailings with one message a second at the same instant."""
    findings = Findings()
    async with ground.world() as world:
        world.add_clients(40, TAG)
        starts_at = utc_now() + timedelta(seconds=2)
        add_mailings(world, LIMITED, starts_at, rate=1)
        begin = starts_at.timestamp() + 4
        await asyncio.sleep(max(0.0, begin + STEADY - time.time()))
        end = time.time()
        received = await ground.sandbox.control.messages()
        steady = sum(begin <= one.first_at < end for one in received)
        findings.limited_used = steady / (LIMITED * (end - begin))
        first_p95 = percentile(first_messages(world, received, starts_at), 0.95)
    findings.text = f"used {findings.limited_used:.3f}, p95 of the first message {first_p95:.1f} s"
    findings.expect(findings.limited_used >= 0.95, "less than 0.95 of the limits were used")
    findings.expect(first_p95 <= 2, "the first messages took more than 2 s")
    return findings


async def many_small(ground: Ground) -> Findings:
    """Start 2,000 mailings with five messages each at the same instant."""
    findings = Findings()
    async with ground.world() as world:
        world.add_clients(5, TAG)
        starts_at = utc_now() + timedelta(seconds=3)
        add_mailings(world, SMALL, starts_at)
        await world.until_received(SMALL * 5)
        received = await ground.sandbox.control.messages()
        last = max(first_messages(world, received, starts_at))
    findings.text = f"the last first message after {last:.1f} s"
    findings.expect(last <= 5, "the last first message took more than 5 s")
    return findings


async def slow_provider(ground: Ground) -> Findings:
    """Send mailings with and without a limit to a provider that takes 300 to 500 ms."""
    findings = Findings()
    async with ground.world(senders=1) as world:
        world.add_clients(5_000, TAG)
        await ground.sandbox.control.behave("slow", latency_ms=ground.chance.randint(300, 500))
        for rate in (None, None, 30.0):
            add_mailings(world, 1, utc_now(), rate=rate)
        await world.until_received(500)
        found = await outstanding(world, seconds=15)
    seconds = found.most / found.speed
    findings.text = f"{found.speed:.0f}/s, at most {found.most} with the sender: {seconds:.1f} s"
    findings.expect(seconds <= 3.5, "the sender had much more than two seconds of work")
    return findings


async def purged_reports(ground: Ground) -> Findings:
    """Purge the queue of reports while no planner records."""
    findings = Findings()
    short = {"MAILING_LEASE": "4", "MAILING_LEASE_MARGIN": "1", "MAILING_REDELIVERY_GRACE": "1"}
    async with ground.world(environment=short) as world:
        world.add_clients(3_000, TAG)
        await ground.sandbox.control.behave("slow", latency_ms=50)
        mailing = await world.system.add_mailing(TAG)
        await world.until_received(1_000)
        process = world.system.processes["planner-0"]
        process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(8)  # until RabbitMQ has its reports back
        connection = await connect(SecretStr(ground.servers.broker_url), "faults")
        channel = await connection.channel()
        await (await channel.get_queue(PLANNER_REPORTS, ensure=False)).purge()
        await close(connection)
        process.send_signal(signal.SIGCONT)
        status = await world.system.until_settled(mailing, 3_000)
        log = (ground.logs / f"{ground.cases:02}" / "planner-0.log").read_text()
    findings.expect(status.get("sent") == 3_000, f"not everything was sent: {status}")
    findings.expect("reports_missing" in log, "no line says that reports are missing")
    return findings


def holds_lock(database_url: str, planner: str) -> bool:
    """Return True if this planner has the lock of the release, and no statement that is about to end."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)"
            " WHERE locktype = 'advisory' AND granted AND state = 'idle in transaction' AND application_name = %s",
            (planner,),
        ).fetchone()
    return row is not None and row[0] > 0


def add_mailings(world: World, count: int, starts_at: datetime, *, rate: float | None = None) -> None:
    """Add mailings to all clients. By SQL, as the API would need longer than the case takes."""
    with psycopg.connect(world.database_url) as connection:
        connection.execute(
            "WITH added AS (INSERT INTO mailings (starts_at, expired_at, text, filter, rate)"
            " SELECT %s, %s, 'hello', '{}', %s FROM generate_series(1, %s) RETURNING id)"
            " INSERT INTO counters (mailing_id) SELECT id FROM added",
            (starts_at, starts_at + timedelta(hours=1), rate, count),
        )


def first_messages(world: World, received: Sequence[Received], starts_at: datetime) -> list[float]:
    """Return the seconds from the start to the first POST of each mailing; infinite if there is none."""
    with psycopg.connect(world.database_url) as connection:
        mailings: dict[int, int] = dict(connection.execute("SELECT id, mailing_id FROM messages").fetchall())
        found = connection.execute("SELECT id FROM mailings").fetchall()
    first = dict.fromkeys((mailing_id for (mailing_id,) in found), float("inf"))
    for message in received:
        mailing_id = mailings[message.id]
        first[mailing_id] = min(first[mailing_id], message.first_at - starts_at.timestamp())
    return list(first.values())


async def outstanding(world: World, seconds: float) -> Outstanding:
    """Look at what the sender has, of mailings without a limit."""
    most, began = 0, time.monotonic()
    with psycopg.connect(world.database_url, autocommit=True) as connection:

        def count(condition: str) -> int:
            row = connection.execute(
                f"SELECT count(*) FROM messages JOIN jobs ON jobs.id = job_id"
                f" JOIN mailings ON mailings.id = jobs.mailing_id WHERE rate IS NULL AND {condition}"
            ).fetchone()
            return 0 if row is None else int(row[0])

        done = count("messages.status <> 'new'")
        while time.monotonic() - began < seconds:
            most = max(most, count("messages.status = 'new' AND jobs.state = 'released'"))
            await asyncio.sleep(0.2)
        speed = (count("messages.status <> 'new'") - done) / (time.monotonic() - began)
    return Outstanding(most, max(speed, 1.0))


CASES = (
    Case("one of two planners is frozen with the lock of the release, and has the reports", frozen_planner),
    Case("500 mailings with one message a second begin together", many_limited),
    Case("2,000 small mailings begin together", many_small),
    Case("a provider takes 300 to 500 ms, for mailings with and without a limit", slow_provider),
    Case("the queue of reports is purged", purged_reports),
)
