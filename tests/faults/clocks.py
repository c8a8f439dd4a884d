"""Clocks of hosts that are wrong. The provider and this process go by the right time."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from shared.contracts import utc_now
from tests.e2e.system import Environment
from tests.faults.findings import Findings
from tests.faults.ground import TAG, Case, Ground, count_jobs, until_consuming
from tests.rules.world import World

LIBRARY = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
IS_INSTALLED = LIBRARY.exists()
SKIPPED = Findings(skipped="libfaketime is not installed")
MESSAGES = 3_000
LATENCY_MS = 100


def wrong_clock(offset: str, file: Path) -> Environment:
    """Return the environment of a process whose host's clock is off; `set_clock` sets it anew."""
    set_clock(file, offset)
    return {
        "LD_PRELOAD": str(LIBRARY),
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }


def set_clock(file: Path, offset: str) -> None:
    """Set the clock of the processes that use the file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(offset)


def with_library(run: Callable[[Ground], Awaitable[Findings]]) -> Callable[[Ground], Awaitable[Findings]]:
    """Skip the case where the library is not installed."""

    async def run_or_skip(ground: Ground) -> Findings:
        return await run(ground) if IS_INSTALLED else SKIPPED

    return run_or_skip


async def _until_end(ground: Ground, offset: str, later: str | None = None) -> Findings:
    """A mailing ends while a sender's clock is off, or is set during it. Nothing is POSTed after its end."""
    file = ground.logs / "clock"
    async with ground.world(senders=1) as world:
        world.add_clients(MESSAGES * 3, TAG)
        await world.system.start("sender", "wrong", wrong_clock(offset, file))
        await until_consuming(world, 2)
        await ground.sandbox.control.behave("slow", latency_ms=LATENCY_MS * 2)
        ends = utc_now() + timedelta(seconds=6)
        mailing = await world.system.add_mailing(TAG, expired_at=ends)
        await world.until_received(500)
        if later is not None:
            set_clock(file, later)
        status = await world.system.until_settled(mailing, MESSAGES * 3)
        received = await ground.sandbox.control.messages()
        late = [one for one in received if one.last_at > ends.timestamp()]
        findings = Findings(text=f"{offset} then {later}: {status}" if later else f"{offset}: {status}")
        findings.late_posts = len(late)
        findings.expect(not late, f"{len(late)} POSTs came after the end")
        findings.expect(_has_reported(world), "no line of the log says that the clock is wrong")
        return findings


async def sender_behind(ground: Ground) -> Findings:
    """Row 9: a sender's clock is 40 s behind."""
    return await _until_end(ground, "-40s")


async def sender_set_back(ground: Ground) -> Findings:
    """Row 9: a sender's clock is set back while it sends."""
    return await _until_end(ground, "-0s", f"-{ground.chance.randrange(5, 90)}s")


async def sender_ahead(ground: Ground) -> Findings:
    """Row 10: the clock of the only sender is far ahead. Everything is sent all the same."""
    async with ground.world(senders=0) as world:
        world.add_clients(MESSAGES, TAG)
        offset = f"+{ground.chance.randrange(40, 4_000)}s"
        await world.system.start("sender", "wrong", wrong_clock(offset, ground.logs / "clock"))
        mailing = await world.system.add_mailing(TAG, expired_at=utc_now() + timedelta(seconds=30))
        status = await world.system.until_settled(mailing, MESSAGES)
        jobs = count_jobs(world.database_url)
        findings = Findings(text=f"{offset}: {status}, {jobs} jobs")
        findings.expect(status.get("sent") == MESSAGES, f"only {status.get('sent', 0)} of {MESSAGES} were sent")
        findings.expect(jobs <= MESSAGES // 100 + 20, f"{jobs} jobs for {MESSAGES} messages")
        findings.expect(_has_reported(world), "no line of the log says that the clock is wrong")
        return findings


async def planner_ahead(ground: Ground) -> Findings:
    """Row 11: the clock of the only planner is ahead. Nothing is POSTed before the start."""
    async with ground.world(planners=0) as world:
        world.add_clients(MESSAGES, TAG)
        offset = f"+{ground.chance.randrange(3, 60)}s"
        await world.system.start("planner", "wrong", wrong_clock(offset, ground.logs / "clock"))
        await until_consuming(world, 2)
        starts = utc_now() + timedelta(seconds=4)
        mailing = await world.system.add_mailing(TAG, starts_at=starts)
        await world.system.until_settled(mailing, MESSAGES)
        received = await ground.sandbox.control.messages()
        early = [one for one in received if one.first_at < starts.timestamp()]
        first = min(one.first_at for one in received) - starts.timestamp()
        findings = Findings(text=f"{offset}: the first POST {first:.2f} s after the start", early_posts=len(early))
        findings.expect(not early, f"{len(early)} messages were POSTed before the start")
        findings.expect(first < 3, "the mailing started late")
        findings.expect(_has_reported(world), "no line of the log says that the clock is wrong")
        return findings


def _has_reported(world: World) -> bool:
    lines = (world.system.logs / "wrong.log").read_text().splitlines()
    return any(line.startswith("{") and json.loads(line).get("event") == "clock_wrong" for line in lines)


CASES = (
    Case("sender-behind", with_library(sender_behind)),
    Case("sender-set-back", with_library(sender_set_back)),
    Case("sender-ahead", with_library(sender_ahead), is_short=True),
    Case("planner-ahead", with_library(planner_ahead)),
)
