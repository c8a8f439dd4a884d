"""Rate limits: of a mailing and of the provider at once, over several senders, also after these were frozen."""

import asyncio
import signal
import time
from dataclasses import dataclass

from deploy.sandbox.ledger import Received
from tests.rules.arrivals import used, worst_second
from tests.rules.world import World

PROVIDER_RATE = 300
RATE = 100
RECOVERY = 1.0  # seconds after the senders' return that are not held against what is used


@dataclass(frozen=True, slots=True)
class Limits:
    """Return the worse of both limits: the largest one-second window, and the use, as fractions of the limit."""

    worst: float
    used: float


async def check_limits(world: World, steady: float = 6, frozen: float = 10) -> Limits:
    """Two mailings under the provider's limit, one of them with a limit of its own."""
    enough = int(PROVIDER_RATE * (2 * steady + frozen + 10))
    for tag in ("#limited", "#free"):
        world.add_clients(enough, tag)
    limited = await world.system.add_mailing("#limited", rate=RATE)
    free = await world.system.add_mailing("#free")
    await world.until_received(1)
    first = time.time() + RECOVERY
    await asyncio.sleep(steady + RECOVERY)
    world.signal_senders(signal.SIGSTOP)
    stopped = time.time()
    await asyncio.sleep(frozen)
    world.signal_senders(signal.SIGCONT)
    returned = time.time() + RECOVERY
    await asyncio.sleep(steady + RECOVERY)
    end = time.time()
    for mailing in (limited, free):
        (await world.system.api.post(f"/api/mailing/{mailing}/cancel/")).raise_for_status()
    periods = [(first, stopped), (returned, end)]
    of_limited = [instant for message in await world.arrived(limited) for instant in _instants(message)]
    of_all = [instant for message in await world.sandbox.control.messages() for instant in _instants(message)]
    return Limits(
        worst=max(worst_second(of_limited) / RATE, worst_second(of_all) / PROVIDER_RATE),
        used=min(used(of_limited, RATE, periods), used(of_all, PROVIDER_RATE, periods)),
    )


def _instants(message: Received) -> list[float]:
    return [message.first_at, *message.repeated_at]
