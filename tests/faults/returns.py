"""Messages that come back again and again without a POST."""

import asyncio
import time

from tests.faults.findings import Findings
from tests.faults.ground import TAG, Case, Ground, count_jobs

MESSAGES = 2_000


async def endless_returns(ground: Ground) -> Findings:
    """Row 10: a sender whose settings make it return everything does not keep the planner busy."""
    findings = Findings()
    async with ground.world(senders=0) as world:
        await world.system.start("sender", "sender-0", {"MAILING_DEADLINE_GUARD": "7200"})
        world.add_clients(MESSAGES, TAG)
        mailing = await world.system.add_mailing(TAG)
        await asyncio.sleep(15)
        jobs = count_jobs(world.database_url)
        bound = 12 * MESSAGES // 100
        findings.text = f"{MESSAGES} messages went round in {jobs} jobs within 15 s"
        findings.expect(jobs <= bound, f"more than {bound} jobs")
        await world.system.terminate("sender-0")
        await world.system.start("sender", "sender-1")
        began = time.monotonic()
        await world.system.until_settled(mailing, MESSAGES, timeout=60)
        findings.text += f"; sent {time.monotonic() - began:.0f} s after the mistake was mended"
    findings.expect(
        any("messages_return_again" in log.read_text() for log in ground.logs.glob("**/planner-0.log")),
        "the planner's log does not mention it",
    )
    return findings


CASES = (Case("endless-returns", endless_returns),)
