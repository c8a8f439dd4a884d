"""Results of the contestants in figures, and the line and tables that show them."""

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from rich.table import Table

from tests.bench.nginx import Received

OURS = "ours-2"
# As the last line calls them, and as people do; in the order of the tables.
NAMES = {OURS: "ours", "celery": "celery", "dramatiq": "dramatiq", "floor": "floor"}
TITLES = {
    "floor": "the floor: bare POSTs, then the ledger alone",
    OURS: "ours, 2 senders",
    "ours-1": "ours, 1 sender",
    "dramatiq": "Dramatiq, 2 × 8 threads",
    "celery": "Celery, prefork 2",
}
HEADINGS = ("", "messages/s", "least … most", "ours is", "nginx' share of CPU", "messages × rounds")


@dataclass(frozen=True, slots=True)
class Problem:
    """Differences between a contestant's account and the provider's, in messages."""

    lost: int  # counted as sent, but never received, or owed and not counted
    unrecorded: int  # received, but not counted as sent
    repeated: int  # received more than once
    refused: int  # requests

    @classmethod
    def found(cls, owed: int, recorded: Iterable[int], received: Received) -> Self | None:
        """`recorded` are the ids that a contestant counts as sent, of so many that are owed. None: all is well."""
        sent = set(recorded)
        problem = cls(
            lost=owed - len(sent & received.accepted.keys()),
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
    provider_share: float  # of all the processor time that was used meanwhile
    problem: Problem | None
    bytes_per_message: float | None
    cpu_us: Mapping[str, float] = field(default_factory=dict)  # for a message, by kind of process

    @property
    def rate(self) -> float:
        """Messages a second."""
        return self.messages / self.seconds

    def __str__(self) -> str:
        text = f"{self.name}: {self.messages} in {self.seconds:.2f} s, {self.rate:.0f}/s"
        return f"{text}, WRONG: {self.problem}" if self.problem else text


@dataclass(frozen=True, slots=True)
class Summary:
    """One contestant over all rounds: medians, and how far they lie apart."""

    name: str
    rate: float
    least: float
    most: float
    provider_share: float
    bytes_per_message: float | None
    cpu_us: Mapping[str, float]
    messages: tuple[int, ...]  # of each round

    @classmethod
    def of(cls, name: str, results: Sequence[Result]) -> Self:
        def median(value: Callable[[Result], float]) -> float:
            return statistics.median(value(result) for result in results)

        rates = [result.rate for result in results]
        stored = [result.bytes_per_message for result in results if result.bytes_per_message is not None]
        return cls(
            name,
            statistics.median(rates),
            min(rates),
            max(rates),
            median(lambda result: result.provider_share),
            statistics.median(stored) if stored else None,
            {kind: statistics.median(one.cpu_us[kind] for one in results) for kind in results[0].cpu_us},
            tuple(result.messages for result in results),
        )


def summarize(results: Sequence[Result]) -> dict[str, Summary]:
    """Return the summaries of those that took part, in the order of the tables."""
    by_name = {name: [result for result in results if result.name == name] for name in TITLES}
    return {name: Summary.of(name, found) for name, found in by_name.items() if found}


def last_line(summaries: dict[str, Summary]) -> str:
    """The ratios are those of the medians. What did not take part is left out."""
    rates = {short: summaries[name].rate for name, short in NAMES.items() if name in summaries}
    parts = [f"{short}={rate:.0f}/s" for short, rate in rates.items()]
    if ours := rates.get("ours"):
        parts += [f"vs_{other}={ours / rate:.2f}" for other, rate in rates.items() if other != "ours"]
        parts.append(f"bytes_per_message={summaries[OURS].bytes_per_message:.0f}")
        parts += [f"{kind}_us={one:.0f}" for kind, one in summaries[OURS].cpu_us.items()]
    return " ".join(["bench:", *parts])


def rows(summaries: dict[str, Summary]) -> list[tuple[str, ...]]:
    """As under HEADINGS."""
    ours = summaries.get(OURS)
    return [
        (
            TITLES[name],
            f"{one.rate:,.0f}",
            f"{one.least:,.0f} … {one.most:,.0f}",
            f"{ours.rate / one.rate:.2f} ×" if ours and name != OURS else "",
            f"{one.provider_share:.0%}",
            _rounds(one.messages),
        )
        for name, one in summaries.items()
    ]


def _rounds(messages: Sequence[int]) -> str:
    sizes = dict.fromkeys(messages)
    return ", ".join(f"{size:,} × {messages.count(size)}" for size in sizes)


def terminal_table(summaries: dict[str, Summary]) -> Table:
    table = Table(title="end to end, medians")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows(summaries):
        table.add_row(*row)
    return table


def markdown_table(summaries: dict[str, Summary]) -> str:
    lines = [HEADINGS, ("---", *("---:" for _ in HEADINGS[1:])), *rows(summaries)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
