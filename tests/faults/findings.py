"""Findings of the cases, and the last line that sums them up. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Findings:
    """Result of one case. `broken` has a sentence for each promise that did not hold."""

    text: str = ""  # what was measured, for the case's line
    broken: list[str] = field(default_factory=list)
    skipped: str = ""  # why the case could not run on this machine
    uncertain_never_posted: int = 0
    late_posts: int = 0
    early_posts: int = 0
    repeated_not_in_flight: int = 0
    planner_gap_s: float = 0.0
    limited_used: float = 1.0

    def expect(self, holds: bool, promise: str) -> None:
        """Note a promise as broken unless it holds."""
        if not holds:
            self.broken.append(promise)


def line_of(name: str, seconds: float, findings: Findings) -> str:
    """Return the line of one case."""
    if findings.skipped:
        verdict = f"skipped: {findings.skipped}"
    else:
        verdict = "ok" if not findings.broken else "BROKEN: " + "; ".join(findings.broken)
    text = f" ({findings.text})" if findings.text else ""
    return f"{seconds:6.1f} s  {name}: {verdict}{text}"


def last_line(all_findings: Iterable[Findings]) -> str:
    """Return the line that ends the run. A skipped case counts as none."""
    counted = [one for one in all_findings if not one.skipped]
    sums = {
        name: sum(getattr(one, name) for one in counted)
        for name in ("uncertain_never_posted", "late_posts", "early_posts", "repeated_not_in_flight")
    }
    gap = max((one.planner_gap_s for one in counted), default=0.0)
    used = min((one.limited_used for one in counted), default=1.0)
    broken = sum(bool(one.broken) for one in counted)
    numbers = " ".join(f"{name}={count}" for name, count in sums.items())
    return (
        f"faults: cases={len(counted)} broken={broken} {numbers} planner_gap_s={gap:.1f} limited_used={used:.3f}"
    )
