"""Reckoning: which reports and events are missing, and which reports were repeated without a crash. Pure."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

# A notifier records a report within this time of its acceptance, so a later kill is no excuse for a second copy.
RECORDED_WITHIN = 5.0  # seconds


@dataclass(frozen=True, slots=True)
class Copy:
    """A report that the mail server has accepted: from which process, and when."""

    message_id: str
    process: str
    at: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """Numbers of the last line."""

    reports_missing: int
    reports_repeated_without_crash: int
    webhooks_lost: int

    def line(self) -> str:
        return " ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)

    @property
    def is_good(self) -> bool:
        return not (self.reports_missing or self.reports_repeated_without_crash or self.webhooks_lost)


def judge(
    expected_reports: Collection[str],
    copies: Sequence[Copy],
    kills: Mapping[str, float],
    expected_events: Collection[str],
    events: Collection[str],
) -> Verdict:
    """Judge by the mails and events that arrived. `kills` are the times of SIGKILL by process."""
    by_id: dict[str, list[Copy]] = defaultdict(list)
    for copy in sorted(copies, key=lambda copy: copy.at):
        by_id[copy.message_id].append(copy)
    repeated = sum(not _is_excused(earlier, kills) for same in by_id.values() for earlier in same[:-1])
    return Verdict(len(set(expected_reports) - by_id.keys()), repeated, len(set(expected_events) - set(events)))


def _is_excused(earlier: Copy, kills: Mapping[str, float]) -> bool:
    """Return True if the process that sent this copy was killed before it can have recorded it."""
    killed_at = kills.get(earlier.process)
    return killed_at is not None and killed_at - earlier.at < RECORDED_WITHIN
