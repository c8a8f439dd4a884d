"""Schedule of faults: a pure function of the seed, so that a run can be repeated."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

SERVICES = ("api-0", "api-1", "planner-0", "planner-1", "sender-0", "sender-1", "sender-2")
SERVERS = ("rabbitmq", "postgres")
FAULTS = ("unavailable", "hang", "error", "garbage", "half", "reset", "down")


class Deed(StrEnum):
    KILL = "kill"  # SIGKILL of a service; started again after `seconds`
    RESTART = "restart"  # SIGKILL of a server's processes; started again at once
    CUT = "cut"  # a service's line to one server is cut for `seconds`
    FAULT = "fault"  # the provider behaves so for `seconds`


@dataclass(frozen=True, slots=True)
class Step:
    """One deed, `at` seconds after the beginning."""

    at: float
    deed: Deed
    what: str  # a service, a server, "service>server", or a way to fail
    seconds: float


def schedule(seed: int, pause: float) -> Iterator[Step]:
    """Steps without end, `pause` seconds apart on average. Each service and each server has its turn before any
    has a second one."""
    chance = random.Random(seed)
    kills, restarts, lines = _turns(chance, SERVICES), _turns(chance, SERVERS), _turns(chance, _lines())
    faults = _turns(chance, FAULTS)
    at = 0.0
    for number in count(1):
        at += chance.uniform(0.5, 1.5) * pause
        if number % 10 == 0:
            yield Step(at, Deed.RESTART, next(restarts), 0.0)
            continue
        match chance.choices((Deed.KILL, Deed.CUT, Deed.FAULT), (5, 3, 2))[0]:
            case Deed.KILL:
                yield Step(at, Deed.KILL, next(kills), chance.uniform(0.0, 2.0))
            case Deed.CUT:
                yield Step(at, Deed.CUT, next(lines), chance.uniform(0.2, 2.0))
            case Deed.FAULT:
                yield Step(at, Deed.FAULT, next(faults), chance.uniform(0.3, 1.5))


def _lines() -> tuple[str, ...]:
    """Every connection that there is."""
    near = {
        "api": ("postgres", "rabbitmq"),
        "planner": ("postgres", "rabbitmq"),
        "sender": ("rabbitmq", "provider"),
    }
    return tuple(f"{name}>{server}" for name in SERVICES for server in near[name.partition("-")[0]])


def _turns(chance: random.Random, names: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from chance.sample(names, len(names))
