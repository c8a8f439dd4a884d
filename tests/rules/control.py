"""Control: how long after the answer to pause, cancel or delete something still reaches the provider."""

import asyncio
import time

from tests.rules.world import World

AFTERMATH = 2.0  # seconds in which whatever was under way would arrive


async def check_control(world: World, backlog: int = 100_000) -> tuple[float, int]:
    """The latest arrival after an answer, in milliseconds (0: none after it); and how many messages were lost or
    repeated by pausing and resuming."""
    world.add_clients(backlog, "#control")
    part, latest = backlog // 20, 0.0
    mailing = await world.system.add_mailing("#control")
    for round_ in (1, 2):
        await world.until_received(round_ * part)
        latest = max(latest, await _silence_after(world, "POST", f"/api/mailing/{mailing}/pause/"))
        (await world.system.api.post(f"/api/mailing/{mailing}/resume/")).raise_for_status()
    await world.system.until_settled(mailing, backlog, timeout=120)
    arrived = await world.arrived(mailing)
    wrong = abs(backlog - len(arrived)) + sum(message.count - 1 for message in arrived)
    for method, path in (("POST", "/api/mailing/{}/cancel/"), ("DELETE", "/api/mailing/{}/")):
        await world.sandbox.control.forget()
        mailing = await world.system.add_mailing("#control")
        await world.until_received(part)
        latest = max(latest, await _silence_after(world, method, path.format(mailing)))
    return latest * 1000, wrong


async def _silence_after(world: World, method: str, path: str) -> float:
    """Seconds from the answer to the last arrival, if that came later."""
    (await world.system.api.request(method, path)).raise_for_status()
    answered = time.time()
    await asyncio.sleep(AFTERMATH)
    last = (await world.sandbox.control.totals()).last_at or 0.0
    return max(0.0, last - answered)
