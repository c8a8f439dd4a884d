"""Servers that are restored, full, or out of memory, and reports that come faster than they can be recorded."""

import asyncio
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
from pydantic import SecretStr

from deploy.local.postgres import PrivatePostgres
from deploy.local.rabbitmq_files import environment
from shared.broker.publisher import Publisher
from shared.ledger.migrations import migrate
from shared.topology import PLANNER_REPORTS
from tests.e2e.system import Environment, until
from tests.faults.findings import Findings
from tests.faults.ground import TAG, Case, Ground
from tests.faults.stops import MESSAGES, TOLERANCE
from tests.integration.scripted import Request, answer, scripted

RABBITMQCTL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
HAS_RABBITMQCTL = os.access(RABBITMQCTL, os.X_OK)
DISK = "160m"  # of PostgreSQL's own file system
FAST_FOR = 30.0  # seconds
LATENCY = 0.05


async def _answer_slowly(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(LATENCY)
    await answer(200)(request, writer)


async def restored(ground: Ground) -> Findings:
    """Row 12: PostgreSQL is restored from a snapshot, while RabbitMQ holds newer jobs and reports."""
    postgres = ground.servers.postgres
    assert postgres is not None
    data, snapshot = postgres.folder / "data", postgres.folder / "snapshot"
    async with (
        scripted(_answer_slowly) as provider,
        ground.world(environment={"MAILING_LEASE": "15", "MAILING_PROVIDER_URL": provider.url}) as world,
    ):
        world.add_clients(2_000, TAG)
        before = await world.system.add_mailing(TAG, text="before")
        await _until_requests(provider.requests, ground.chance.randrange(200, 600))
        await asyncio.to_thread(postgres.stop)
        assert await _run("cp", "--archive", str(data), str(snapshot))  # with its owner
        await asyncio.to_thread(postgres.start)
        await until(world.system.is_ready, timeout=30, what="PostgreSQL is back")
        await world.system.add_mailing(TAG, text="lost")
        await _until_requests(provider.requests, len(provider.requests) + 800)
        await asyncio.to_thread(postgres.stop)
        shutil.rmtree(data)
        snapshot.rename(data)
        await asyncio.to_thread(postgres.start)
        await until(world.system.is_ready, timeout=30, what="PostgreSQL is restored")
        after = await world.system.add_mailing(TAG, text="after")
        for mailing in (before, after):
            await world.system.until_settled(mailing, 2_000, timeout=90)
        log = (world.system.logs / "planner-0.log").read_text()
        sent = {
            message_id
            for mailing in (before, after)
            for message_id, (_, status, _) in world.zone_and_end_by_message(mailing).items()
            if status == "sent"
        }
    texts = defaultdict[int, set[str]](set)
    for request in provider.requests:
        body = json.loads(request.body)
        texts[body["id"]].add(body["text"])
    never_posted = sent - texts.keys()
    mixed = [message_id for message_id, found in texts.items() if len(found) > 1]
    findings = Findings(text=f"{len(sent)} sent after the restore, {len(provider.requests)} POSTs in all")
    findings.expect(not never_posted, f"{len(never_posted)} messages are sent that were never POSTed")
    findings.expect(not mixed, f"{len(mixed)} ids were POSTed with different texts")
    findings.expect("ledger_restored" in log, "no line of the log says that the ledger was restored")
    return findings


async def _until_requests(requests: list[Request], count: int) -> None:
    async def have_arrived() -> bool:
        return len(requests) >= count

    await until(have_arrived, timeout=60, what=f"the provider has received {count} requests")


async def disk_full(ground: Ground) -> Findings:
    """Row 13: PostgreSQL's disk is full for some seconds."""
    disk = ground.logs / "disk"
    disk.mkdir(parents=True)
    if os.geteuid() != 0 or not await _run(
        "mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "tmpfs", str(disk)
    ):
        return Findings(skipped="a small file system cannot be mounted here")
    try:
        with PrivatePostgres(disk / "postgres") as postgres:
            migrate(SecretStr(postgres.url))
            return await _fill_disk(ground, postgres.url, disk / "filler")
    finally:
        await _run("umount", "--lazy", str(disk))


async def _fill_disk(ground: Ground, database_url: str, filler: Path) -> Findings:
    async with ground.world(database_url=database_url) as world:
        world.add_clients(1_000, TAG)
        mailing = {"text": "hello" * 100, "filter": TAG, "expired_at": "2090-01-31T18:00:00Z"}
        await world.system.add_mailing(TAG)
        await asyncio.to_thread(_fill, filler)
        refused: list[httpx.Response] = []
        for _ in range(3_000):
            response = await world.system.api.post(
                "/api/mailing/", json=mailing | {"starts_at": "2090-01-01T00:00:00Z"}
            )
            if response.status_code != httpx.codes.CREATED:
                refused.append(response)
            if len(refused) >= 20:
                break
        await asyncio.to_thread(filler.unlink)
        await until(world.system.is_ready, timeout=60, what="PostgreSQL has room")
        later = await world.system.add_mailing(TAG)
        status = await world.system.until_settled(later, 1_000, timeout=90)
    reasons = {one.json().get("detail", "") for one in refused}
    findings = Findings(text=f"{len(refused)} refused: {'; '.join(sorted(reasons))}; then {status}")
    findings.expect(bool(refused), "the disk was never full")
    findings.expect(
        all(one.status_code == 503 and "Retry-After" in one.headers for one in refused),
        f"answers {sorted({one.status_code for one in refused})} instead of 503 with Retry-After",
    )
    findings.expect(status.get("sent") == 1_000, "not everything was sent when there was room again")
    return findings


def _fill(filler: Path) -> None:
    """Fill the file system to the last page."""
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue


@asynccontextmanager
async def _memory_alarm(ground: Ground) -> AsyncIterator[None]:
    """Let RabbitMQ believe that it has no memory left. It then reads nothing from those who publish."""
    await _set_watermark(ground, "0.00001")
    try:
        yield
    finally:
        await _set_watermark(ground, "0.6")


async def _set_watermark(ground: Ground, fraction: str) -> None:
    rabbitmq = ground.servers.rabbitmq
    assert rabbitmq is not None
    variables = environment(rabbitmq.folder, rabbitmq.ports)
    assert await _run(RABBITMQCTL, "set_vm_memory_high_watermark", fraction, env=variables), "rabbitmqctl failed"


async def _run(*command: str, env: Environment | None = None) -> bool:
    """Run a command; return True if it succeeds."""
    process = await asyncio.create_subprocess_exec(*command, env=env, stdout=asyncio.subprocess.DEVNULL)
    return await process.wait() == 0


async def pause_in_memory_alarm(ground: Ground) -> Findings:
    """Row 6: a pause while RabbitMQ has a memory alarm, so that nothing can be published."""
    if not HAS_RABBITMQCTL:
        return Findings(skipped="rabbitmqctl is not installed")
    async with ground.world() as world:
        world.add_clients(MESSAGES, TAG)
        await ground.sandbox.control.behave("slow", latency_ms=100)
        mailing = await world.system.add_mailing(TAG)
        await world.until_received(ground.chance.randrange(500, 1_500))
        async with _memory_alarm(ground):
            response = await world.system.api.post(f"/api/mailing/{mailing}/pause/")
            answered = time.time()
            await asyncio.sleep(5)
            late = [one for one in await world.arrived(mailing) if one.last_at > answered + TOLERANCE]

        async def is_applied() -> bool:
            stop: object = (await world.system.api.get(f"/api/mailing/{mailing}/")).json()["stop"]
            return stop == "applied"

        await until(is_applied, timeout=30, what="the stop is applied after the alarm")
    findings = Findings(text=f"{response.status_code} {response.json().get('stop')}", late_posts=len(late))
    findings.expect(not late, f"{len(late)} POSTs came later than a second after the answer")
    findings.expect(
        response.status_code == httpx.codes.ACCEPTED, "the answer does not say that the stop is pending"
    )
    return findings


async def fast_reports(ground: Ground) -> Findings:
    """Every message comes back deferred at once, which costs most to record. Their queue does not grow."""
    async with ground.world(senders=2, environment={"MAILING_BACKOFF_FIRST": "1"}) as world:
        world.add_clients(60_000, TAG)
        await ground.sandbox.control.behave("throttle", retry_after=1)
        mailing = await world.system.add_mailing(TAG)
        await world.until_received(500)
        publisher = Publisher(SecretStr(ground.servers.broker_url), "faults")
        depths, most, began = list[int](), 0, time.monotonic()
        try:
            while time.monotonic() - began < FAST_FOR:
                depths.append(await publisher.count_messages(PLANNER_REPORTS))
                most = max(most, _released(world.database_url))
                await asyncio.sleep(0.5)
        finally:
            await publisher.close()
        (await world.system.api.post(f"/api/mailing/{mailing}/cancel/")).raise_for_status()
        received = (await ground.sandbox.control.totals()).received
    half = len(depths) // 2
    early, late = max(depths[:half]), max(depths[half:])
    findings = Findings(
        text=f"{received / FAST_FOR:.0f} deferred/s, at most {most} released, reports waiting {early} then {late}"
    )
    findings.expect(late <= max(2 * early, 100), "the queue of reports grows")
    findings.expect(
        most <= 3.5 * max(received / FAST_FOR, 500), "the senders had much more than two seconds of work"
    )
    return findings


def _released(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT coalesce(sum(open), 0) FROM jobs WHERE state = 'released'").fetchone()
        return 0 if row is None else int(row[0])


CASES = (
    Case("ledger-restored", restored),
    Case("disk-full", disk_full),
    Case("pause-memory-alarm", pause_in_memory_alarm),
    Case("fast-reports", fast_reports),
)
