"""Connections and processes that end while a provider must not be asked twice.

Only what was in flight may end as uncertain.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tests.chaos.proxy import Line
from tests.faults.findings import Findings
from tests.faults.ground import ONCE, QUICK, TAG, Case, Ground, repeated, uncertain_of
from tests.rules.world import World

MESSAGES = 5_000
LATENCY_MS = 100
CONCURRENCY = 32
ENVIRONMENT = {**QUICK, **ONCE, "MAILING_SENDER_CONCURRENCY": str(CONCURRENCY), "MAILING_LEASE": "20"}
# Messages of one sender that may be noted as begun although none of their bytes has left.
HANDFUL = 32

Break = Callable[[Ground, World, Line], Awaitable[None]]


async def _disturbed(ground: Ground, break_something: Break) -> tuple[Findings, int]:
    """Break something in the middle of a mailing; return the findings and the number of uncertain messages."""
    async with ground.broker_lines(1) as (line,), ground.world(senders=1, environment=ENVIRONMENT) as world:
        await world.system.start("sender", "sender-1", ground.behind(line))
        world.add_clients(MESSAGES, TAG)
        await ground.sandbox.control.behave("slow", latency_ms=LATENCY_MS)
        mailing = await world.system.add_mailing(TAG)
        await world.until_received(ground.chance.randrange(500, 1_500))
        await break_something(ground, world, line)
        await ground.sandbox.control.behave("slow", latency_ms=LATENCY_MS // 5)
        status = await world.system.until_settled(mailing, MESSAGES, timeout=90)
        received = await ground.sandbox.control.messages()
        uncertain = uncertain_of(world, mailing)
        never_posted = uncertain - {one.id for one in received}
        findings = Findings(
            text=f"{status}, never POSTed: {len(never_posted)}",
            uncertain_never_posted=len(never_posted),
            repeated_not_in_flight=len(repeated(received)),
        )
        findings.expect(not repeated(received), f"{len(repeated(received))} messages were POSTed twice")
        sent = status.get("sent", 0) + len(uncertain)
        findings.expect(sent == MESSAGES, f"only {sent} of {MESSAGES} are sent or uncertain")
        return findings, len(uncertain)


async def _cut(_ground: Ground, _world: World, line: Line) -> None:
    await line.cut()
    await asyncio.sleep(1)
    await line.mend()


async def connection_lost(ground: Ground) -> Findings:
    """Row 1: a sender's connection to RabbitMQ is closed, and the sender lives."""
    findings, uncertain = await _disturbed(ground, _cut)
    findings.expect(uncertain == 0, f"{uncertain} messages are uncertain, though their sender lives")
    return findings


async def broker_restarted(ground: Ground) -> Findings:
    """Row 2: RabbitMQ is stopped and started in good order."""

    async def restart(ground: Ground, _world: World, _line: Line) -> None:
        rabbitmq = ground.servers.rabbitmq
        assert rabbitmq is not None
        await asyncio.to_thread(rabbitmq.stop)
        await asyncio.to_thread(rabbitmq.start)

    findings, uncertain = await _disturbed(ground, restart)
    findings.expect(uncertain == 0, f"{uncertain} messages are uncertain, though every sender lives")
    return findings


async def sender_killed(ground: Ground) -> Findings:
    """Row 3: a sender is killed."""

    async def kill(_ground: Ground, world: World, _line: Line) -> None:
        await world.system.kill("sender-1")

    findings, uncertain = await _disturbed(ground, kill)
    allowed = 2 * CONCURRENCY + HANDFUL  # in flight, answered but not reported, and noted
    findings.expect(uncertain <= allowed, f"{uncertain} messages are uncertain, more than {allowed}")
    findings.expect(
        findings.uncertain_never_posted <= HANDFUL,
        f"{findings.uncertain_never_posted} uncertain messages were never POSTed",
    )
    return findings


CASES = (
    Case("connection-lost", connection_lost),
    Case("broker-restarted", broker_restarted),
    Case("sender-killed", sender_killed, is_short=True),
)
