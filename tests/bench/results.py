"""What the contestants did, in figures."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from tests.bench.nginx import Received

OURS = "ours-2"
NAMES = {OURS: "ours", "celery": "celery", "dramatiq": "dramatiq", "bare": "bare"}  # in the last line


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong between a contestant's account and the provider's."""

    lost: int  # counted as sent, but never received
    unrecorded: int  # received, but not counted as sent
    repeated: int  # received more than once
    refused: int  # requests

    @classmethod
    def found(cls, recorded: Iterable[int], received: Received) -> Self | None:
        sent = set(recorded)
        problem = cls(
            lost=len(sent - received.accepted.keys()),
            unrecorded=len(received.accepted.keys() - sent),
            repeated=sum(count > 1 for count in received.accepted.values()),
            refused=received.refused,
        )
        return None if problem == cls(0, 0, 0, 0) else problem


@dataclass(frozen=True, slots=True)
class Result:
    """One contestant in one round."""

    name: str
    messages: int
    seconds: float
    provider_share: float  # of the processor time that was used meanwhile
    problem: Problem | None
    bytes_per_message: float | None

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    def __str__(self) -> str:
        text = f"{self.name}: {self.messages} in {self.seconds:.2f} s, {self.rate:.0f}/s"
        return f"{text}, WRONG: {self.problem}" if self.problem else text


def of(name: str, results: Sequence[Result]) -> list[Result]:
    return [result for result in results if result.name == name]


def median(
    name: str, results: Sequence[Result], value: Callable[[Result], float] = lambda result: result.rate
) -> float:
    return statistics.median(value(result) for result in of(name, results))


def last_line(results: Sequence[Result]) -> str:
    """The ratios are those of the medians. What did not take part is left out."""
    rates = {short: median(name, results) for name, short in NAMES.items() if of(name, results)}
    parts = [f"{short}={rate:.0f}/s" for short, rate in rates.items()]
    if ours := rates.get("ours"):
        parts += [f"vs_{other}={ours / rate:.2f}" for other, rate in rates.items() if other != "ours"]
        stored = [result.bytes_per_message for result in of(OURS, results) if result.bytes_per_message]
        parts.append(f"bytes_per_message={statistics.median(stored):.0f}")
    return " ".join(["bench:", *parts])


def table(results: Sequence[Result]) -> str:
    return "\n".join(map(str, results))
