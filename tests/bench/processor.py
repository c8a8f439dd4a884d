"""Use of the processors, read from Linux's /proc."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Used:
    """Seconds of processor time: of one process, and of the whole machine."""

    process: float
    machine: float

    @classmethod
    def until_now(cls, pid: int) -> Self:
        return cls(
            process_seconds(Path(f"/proc/{pid}/stat").read_text()), machine_seconds(_first_line("/proc/stat"))
        )

    def since(self, before: Self) -> "Used":
        return Used(self.process - before.process, self.machine - before.machine)

    @property
    def share(self) -> float:
        """The process' part of all that was used."""
        return self.process / self.machine if self.machine else 0.0


def seconds_by_kind(pids: Mapping[str, Iterable[int]]) -> dict[str, float]:
    """Seconds of processor time of some processes, added up by what they are."""
    return {
        kind: sum(process_seconds(Path(f"/proc/{pid}/stat").read_text()) for pid in some)
        for kind, some in pids.items()
    }


def process_seconds(stat: str) -> float:
    """From `/proc/<pid>/stat`: in user mode and in the kernel. The name in it may contain anything."""
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def machine_seconds(line: str) -> float:
    """From the first line of `/proc/stat`: all but idle, waiting for disks, and what other machines took."""
    user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in line.split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def _first_line(path: str) -> str:
    with Path(path).open() as lines:
        return lines.readline()
