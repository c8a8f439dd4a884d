"""Pauses while the stop cannot travel. The answer tells the truth, and nothing is POSTed a second later."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable

import httpx

from tests.chaos.proxy import Line
from tests.faults.findings import Findings
from tests.faults.ground import TAG, Case, Ground, until_consuming
from tests.rules.world import World

MESSAGES = 20_000
LATENCY_MS = 100
TOLERANCE = 1.0 + 0.1  # seconds: the promise, and the way to the provider
AFTERMATH = 5.0

Break = Callable[[World, Line], Awaitable[None]]


async def _nothing(_world: World, _line: Line) -> None:
    pass


async def _silence(_world: World, line: Line) -> None:
    line.silence()


async def _freeze_sender(world: World, _line: Line) -> None:
    world.system.processes["sender-0"].send_signal(signal.SIGSTOP)


async def _freeze_planner(world: World, _line: Line) -> None:
    world.system.processes["planner-0"].send_signal(signal.SIGSTOP)


def pause_case(
    break_something: Break, *, is_pending: bool, all_behind: bool = False
) -> Callable[[Ground], Awaitable[Findings]]:
    """Return a case: break something, pause, watch, mend, and see the stop applied and everything sent."""

    async def run(ground: Ground) -> Findings:
        async with (
            ground.broker_lines(1) as (line,),
            ground.world(senders=1, environment=ground.behind(line) if all_behind else {}) as world,
        ):
            if not all_behind:
                await world.system.start("sender", "sender-1", ground.behind(line))
                await until_consuming(world, 2)
            world.add_clients(MESSAGES, TAG)
            await ground.sandbox.control.behave("slow", latency_ms=LATENCY_MS)
            mailing = await world.system.add_mailing(TAG)
            await world.until_received(ground.chance.randrange(500, 1_500))
            await break_something(world, line)
            try:
                began = time.time()
                answer = await world.system.api.post(f"/api/mailing/{mailing}/pause/")
                answered = time.time()
                await asyncio.sleep(AFTERMATH)
                last = (await ground.sandbox.control.totals()).last_at or 0.0
                late = [one for one in await world.arrived(mailing) if one.last_at > answered + TOLERANCE]
            finally:
                _mend(world, line)
            findings = Findings(
                text=f"{answer.status_code} {answer.json().get('stop')} after {answered - began:.2f} s, last POST"
                f" {last - answered:+.2f} s",
                late_posts=len(late),
            )
            findings.expect(not late, f"{len(late)} POSTs came later than a second after the answer")
            expected = (httpx.codes.ACCEPTED, "pending") if is_pending else (httpx.codes.OK, "applied")
            findings.expect(
                (answer.status_code, answer.json().get("stop")) == expected, f"the answer is not {expected[1]}"
            )
            findings.expect(await _becomes_applied(world, mailing), "the stop is never applied")
            return findings

    return run


def _mend(world: World, line: Line) -> None:
    line.end_silence()
    for process in world.system.processes.values():
        process.send_signal(signal.SIGCONT)


async def _becomes_applied(world: World, mailing: int) -> bool:
    for _ in range(300):
        if (await world.system.api.get(f"/api/mailing/{mailing}/")).json()["stop"] == "applied":
            return True
        await asyncio.sleep(0.1)
    return False


async def api_killed(ground: Ground) -> Findings:
    """The only API is killed right after its answer."""
    async with ground.world(senders=2) as world:
        world.add_clients(MESSAGES, TAG)
        await ground.sandbox.control.behave("slow", latency_ms=LATENCY_MS)
        mailing = await world.system.add_mailing(TAG)
        await world.until_received(ground.chance.randrange(500, 1_500))
        answer = await world.system.api.post(f"/api/mailing/{mailing}/pause/")
        await world.system.kill("api")
        answered = time.time()
        await asyncio.sleep(AFTERMATH)
        late = [one for one in await world.arrived(mailing) if one.last_at > answered + TOLERANCE]
        findings = Findings(text=f"{answer.status_code} {answer.json().get('stop')}", late_posts=len(late))
        findings.expect(not late, f"{len(late)} POSTs came later than a second after the answer")
        return findings


CASES = (
    Case("pause", pause_case(_nothing, is_pending=False), is_short=True),
    Case("pause-frozen-broker", pause_case(_silence, is_pending=True, all_behind=True)),
    Case("pause-silent-sender", pause_case(_silence, is_pending=True)),
    Case("pause-frozen-sender", pause_case(_freeze_sender, is_pending=True)),
    Case("pause-frozen-planner", pause_case(_freeze_planner, is_pending=True)),
    Case("pause-api-killed", api_killed),
)
