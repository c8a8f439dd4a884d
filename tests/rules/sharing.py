"""Sharing: mailings that run side by side get the same, and a single message waits behind none of them."""

import asyncio
import time

from tests.e2e.system import until
from tests.rules.arrivals import percentile
from tests.rules.world import World


async def check_fairness(world: World, each: int = 20_000, mailings: int = 3) -> float:
    """Return the largest shortfall of a mailing against an equal share while all of them ran, as a fraction."""
    for number in range(mailings):
        world.add_clients(each, f"#share-{number}")
    running = [await world.system.add_mailing(f"#share-{number}") for number in range(mailings)]

    async def all_there() -> bool:
        return all([(await world.system.status(mailing)).get("total") == each for mailing in running])

    # Before that, one of them may have less to send than its share.
    await until(all_there, timeout=30, what="all messages of all mailings are made")
    expanded_at = time.time()
    for mailing in running:
        await world.system.until_settled(mailing, each, timeout=120)
    arrivals = [[message.first_at for message in await world.arrived(mailing)] for mailing in running]
    begin, end = max(expanded_at, *map(min, arrivals)), min(map(max, arrivals))
    counts = [sum(begin <= instant <= end for instant in instants) for instants in arrivals]
    return 1 - min(counts) / (sum(counts) / mailings)


async def check_express(world: World, crowd: int = 200_000, messages: int = 100) -> tuple[float, int]:
    """Send single messages beside a mailing at full speed.

    Return the milliseconds from request to provider at the 95th percentile, and the number of those that did not
    arrive exactly once.
    """
    world.add_clients(crowd, "#crowd")
    mailing = await world.system.add_mailing("#crowd")
    await world.until_received(crowd // 100)
    asked: dict[int, float] = {}
    for number in range(messages):
        began = time.time()
        body = {"number": 79_990_000_000 + number, "text": "your code is 1234"}
        response = await world.system.api.post("/api/message/", json=body)
        response.raise_for_status()
        asked[response.json()["id"]] = began
        await asyncio.sleep(0.05)
    running = (await world.system.status(mailing)).get("new", 0) > 0
    await world.until_received(crowd + messages, timeout=180)
    arrived = {message.id: message for message in await world.sandbox.control.messages()}
    took = [arrived[message_id].first_at - began for message_id, began in asked.items() if message_id in arrived]
    wrong = sum(message_id not in arrived or arrived[message_id].count != 1 for message_id in asked)
    assert running, "the mailing was over before the single messages were sent: there was no crowd"
    return percentile(took, 0.95) * 1000, wrong
