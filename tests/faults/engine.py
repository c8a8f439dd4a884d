"""The delivery engine: a sender that was frozen, and a mailing that fails beside good ones."""

import asyncio
import signal
import time

from tests.e2e.system import until
from tests.faults.findings import Findings
from tests.faults.ground import TAG, Case, Ground, repeated
from tests.integration.scripted import Request, answer, scripted
from tests.rules.world import World

FROZEN_FOR = 45.0  # seconds: the broker gives the sender up, and its jobs go to the other one
GOOD, BAD = 3_000, 300
LATENCY = 0.02


async def frozen_sender(ground: Ground) -> Findings:
    """A sender is frozen for 45 s. It repeats nothing of others and POSTs nothing of a paused mailing."""
    async with ground.world(senders=2) as world:
        world.add_clients(6_000, TAG)
        world.add_clients(2_000, "#paused")
        await ground.sandbox.control.behave("slow", latency_ms=100)
        mailing = await world.system.add_mailing(TAG)
        paused = await world.system.add_mailing("#paused")
        await world.until_received(ground.chance.randrange(600, 1_200))
        process = world.system.processes["sender-0"]
        process.send_signal(signal.SIGSTOP)
        began = time.time()
        answer = await world.system.api.post(f"/api/mailing/{paused}/pause/")
        answer.raise_for_status()
        await asyncio.sleep(FROZEN_FOR)
        thawed = time.time()
        process.send_signal(signal.SIGCONT)
        await asyncio.sleep(3)
        late = [one for one in await world.arrived(paused) if one.last_at > thawed]
        resumed = await world.system.api.post(f"/api/mailing/{paused}/resume/")
        resumed.raise_for_status()
        await world.system.until_settled(mailing, 6_000)
        await world.system.until_settled(paused, 2_000)
        # What was in flight at the freeze may be repeated by the other sender.
        again = [
            one
            for one in repeated(await ground.sandbox.control.messages())
            if one.first_at < began - 1 or one.last_at > thawed
        ]
    findings = Findings(
        text=f"frozen for {FROZEN_FOR:.0f} s", late_posts=len(late), repeated_not_in_flight=len(again)
    )
    findings.expect(len(late) <= 1, f"{len(late)} messages of the paused mailing were POSTed after the thaw")
    findings.expect(not again, f"{len(again)} messages were repeated that were not in flight")
    return findings


async def _answer_by_text(request: Request, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(LATENCY)
    await answer(500 if b'"bad"' in request.body else 200)(request, writer)


async def bad_neighbour(ground: Ground) -> Findings:
    """300 messages that the provider answers with 500 do not slow down 3,000 good ones."""
    async with scripted(_answer_by_text) as provider:
        environment = {"MAILING_PROVIDER_URL": provider.url}
        async with ground.world(senders=2, environment=environment) as world:
            world.add_clients(GOOD, TAG)
            world.add_clients(BAD, "#bad")
            alone = await _seconds_until_sent(world)
            bad = await world.system.add_mailing("#bad", text="bad")

            async def begun() -> bool:
                return any(b'"bad"' in request.body for request in provider.requests)

            await until(begun, timeout=20, what="the first bad message was POSTed")
            beside = await _seconds_until_sent(world)
            await world.system.api.post(f"/api/mailing/{bad}/cancel/")
    findings = Findings(text=f"{GOOD} good ones alone {alone:.1f} s, beside {BAD} bad ones {beside:.1f} s")
    findings.expect(beside < 1.5 * alone + 1, "the neighbour's time has grown by more than half")
    return findings


async def _seconds_until_sent(world: World) -> float:
    began = time.monotonic()
    mailing = await world.system.add_mailing(TAG)
    await world.system.until_settled(mailing, GOOD)
    return time.monotonic() - began


CASES = (Case("frozen-sender", frozen_sender), Case("bad-neighbour", bad_neighbour))
